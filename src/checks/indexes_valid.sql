SELECT format('public.%I', x.relname) AS subject,
       format('index on public.%I is INVALID: it is kept up to date and serves no query%s', c.relname,
              CASE WHEN i.indisunique THEN ', and rows from before may be double' ELSE '' END) AS detail,
       -- What made it failed, over rows that are double for example, and would fail again: dropping it costs
       -- nothing. What a key needs stays and is made anew.
       CASE WHEN EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.oid)
            THEN format('REINDEX INDEX CONCURRENTLY public.%I;', x.relname)
            ELSE format('DROP INDEX CONCURRENTLY public.%I;', x.relname) END AS remedy
  FROM pg_index i
  JOIN pg_class x ON x.oid = i.indexrelid
  JOIN pg_class c ON c.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public'
 -- One that is being built is not valid yet.
 WHERE NOT i.indisvalid
   AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
 ORDER BY 1
