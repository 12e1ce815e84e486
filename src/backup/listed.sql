-- The app's list of backups, as the app made it. What somebody else put there would run with our
-- rights, as it would in the table of users that is read for it, and SET ROLE is no boundary: only where
-- there is nothing of that kind a row is written. The lock keeps it so until then.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('public.db_backup') AND relkind = 'r') THEN
        LOCK TABLE public.db_backup IN ROW EXCLUSIVE MODE;
    END IF;
END
$$;
WITH %STRANGERS%
SELECT pg_get_userbyid(relowner) AS owner,
       pg_get_userbyid(relowner) = current_user AS ours,
       NOT EXISTS (SELECT FROM stranger)
       -- What is no plain table may hold what is not looked at here.
       AND NOT EXISTS (SELECT FROM o JOIN pg_class c ON c.oid = o.oid
                        WHERE c.relkind <> 'r' OR c.relispartition OR c.relrowsecurity OR c.relam >= 16384
                           OR EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhparent, i.inhrelid))) AS plain
  FROM pg_class
 WHERE oid = to_regclass('public.db_backup')
