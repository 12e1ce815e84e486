-- What the catalogue of schema public leaves out and still decides over a way there and back, in one hash: whose
-- code runs along, who sees which rows, who was granted what, and what others hung on it. Nothing here takes a lock
-- on a table: queries and conditions count as the server keeps them, as only one and the same database is compared.
WITH here AS (
    SELECT c.* FROM pg_class c
     WHERE c.relnamespace = to_regnamespace('public') AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
),
called(oid) AS (
    SELECT p.oid FROM pg_proc p
     WHERE p.pronamespace = to_regnamespace('public')
       -- What an extension brings changes with the extension.
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
     UNION SELECT t.tgfoid FROM pg_trigger t JOIN here ON here.oid = t.tgrelid WHERE NOT t.tgisinternal
     UNION SELECT e.evtfoid FROM pg_event_trigger e
),
line(text) AS (
    SELECT concat_ws(' ', 'relation', h.relname, h.relkind, pg_get_userbyid(h.relowner), h.relrowsecurity, h.relforcerowsecurity,
                     h.relreplident, (SELECT string_agg(a::text, ',' ORDER BY a::text COLLATE "C")
                                        FROM unnest(coalesce(h.relacl, acldefault(CASE h.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", h.relowner))) a))
      FROM here h
    UNION ALL
    SELECT concat_ws(' ', 'column', h.relname, a.attname, (SELECT string_agg(x::text, ',' ORDER BY x::text COLLATE "C") FROM unnest(a.attacl) x))
      FROM here h JOIN pg_attribute a ON a.attrelid = h.oid WHERE a.attacl IS NOT NULL AND NOT a.attisdropped
    UNION ALL
    SELECT concat_ws(' ', 'schema', pg_get_userbyid(n.nspowner), n.nspacl::text) FROM pg_namespace n WHERE n.nspname = 'public'
    UNION ALL
    -- Those behind keys where somebody has switched them off.
    SELECT concat_ws(' ', 'trigger', h.relname, t.tgname, t.tgenabled, pg_get_triggerdef(t.oid))
      FROM here h JOIN pg_trigger t ON t.tgrelid = h.oid WHERE NOT t.tgisinternal OR t.tgenabled <> 'O'
    UNION ALL
    SELECT concat_ws(' ', 'function', p.oid::regprocedure, pg_get_userbyid(p.proowner), %FUNCTION_CODE%)
      FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE p.oid IN (SELECT oid FROM called)
    UNION ALL
    SELECT concat_ws(' ', 'event trigger', e.evtname, e.evtevent, e.evtenabled, e.evttags, e.evtfoid::regprocedure) FROM pg_event_trigger e
    UNION ALL
    SELECT concat_ws(' ', 'policy', h.relname, o.polname, o.polcmd, o.polpermissive, o.polroles, o.polqual, o.polwithcheck)
      FROM here h JOIN pg_policy o ON o.polrelid = h.oid
    UNION ALL
    SELECT concat_ws(' ', 'rule', r.ev_class::regclass, r.rulename, r.ev_type, r.ev_enabled, r.is_instead, r.ev_qual, r.ev_action)
      FROM pg_rewrite r
     WHERE r.ev_class IN (SELECT oid FROM here)
        -- A view elsewhere reads these tables. A session's own goes with it.
        OR r.oid IN (SELECT d.objid FROM pg_depend d
                      WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM here))
           AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = r.ev_class AND c.relpersistence = 't')
    UNION ALL
    SELECT concat_ws(' ', 'key', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid))
      FROM pg_constraint k
     WHERE k.contype = 'f' AND k.confrelid IN (SELECT oid FROM here) AND k.conrelid NOT IN (SELECT oid FROM here)
    UNION ALL
    SELECT concat_ws(' ', 'child', i.inhparent::regclass, i.inhrelid::regclass)
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent IN (SELECT oid FROM here) AND c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
    UNION ALL
    SELECT concat_ws(' ', 'domain', t.typname, k.conname, k.conbin)
      FROM pg_type t JOIN pg_constraint k ON k.contypid = t.oid WHERE t.typnamespace = to_regnamespace('public')
    UNION ALL
    SELECT concat_ws(' ', 'publication', p.pubname, p.puballtables, p.pubupdate, p.pubdelete, h.relname)
      FROM pg_publication p LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid LEFT JOIN here h ON h.oid = r.prrelid
     WHERE p.puballtables OR h.oid IS NOT NULL
)
SELECT encode(sha256(convert_to(coalesce(string_agg(text, E'\n' ORDER BY text COLLATE "C"), ''), 'UTF8')), 'hex') AS beside
  FROM line
