t.created_at < %CUT_OFF%
