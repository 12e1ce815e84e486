-- %STATEMENTS% is pg_stat_statements' own function, wherever its extension was put. The app writes lower case and quotes, the
-- guide neither.
WITH statements AS (
    SELECT s.query, s.calls, s.total_exec_time
      FROM %STATEMENTS%(true) s
     WHERE s.dbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) AND s.calls > 0
), judged AS (
    SELECT 'public.audit_log' AS subject, 'insert into audit_log' AS what, 10 AS most, '5 to 10 ms' AS expected,
           query, calls, total_exec_time
      FROM statements
     WHERE query ~* '\minsert\s+into\s+("?public"?\s*\.\s*)?"?audit_log"?[\s(]'
     UNION ALL
    SELECT 'public.token_lending', 'version-checked update of token_lending', 2, '1 to 2 ms',
           query, calls, total_exec_time
      FROM statements
     WHERE query ~* '\mupdate\s+(only\s+)?("?public"?\s*\.\s*)?"?token_lending"?\s.*\mwhere\M.*\mversion"?\s*='
)
SELECT subject,
       format('%s ms a call over %s call(s) of %s; the guide expects %s',
              round((sum(total_exec_time) / sum(calls))::numeric, 1), sum(calls), what, expected) AS detail
  FROM judged
 GROUP BY subject, what, most, expected
HAVING sum(total_exec_time) / sum(calls) > most
