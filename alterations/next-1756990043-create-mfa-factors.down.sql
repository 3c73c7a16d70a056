drop table mfa_factors;
