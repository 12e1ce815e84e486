SELECT count(*) FILTER (WHERE s.query = '<insufficient privilege>') AS hidden,
       count(*) FILTER (WHERE s.query ~* '\m(audit_log|token_lending)\M') AS seen
  FROM %STATEMENTS%(true) s
 WHERE s.dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
