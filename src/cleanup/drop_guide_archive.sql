DO $drop$
BEGIN
    LOCK TABLE public.audit_log_archive IN ACCESS EXCLUSIVE MODE;
    IF NOT EXISTS (SELECT FROM public.audit_log_archive) THEN
        DROP TABLE public.audit_log_archive;
    END IF;
END
$drop$
