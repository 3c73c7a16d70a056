drop table connectors;
