drop table organization_members;
drop table organizations;
