encode(sha256(convert_to(concat_ws(' ', l.lanname, p.provolatile, p.prosecdef, p.proconfig,
                                                  p.prorettype::regtype, p.prosrc), 'UTF8')), 'hex')