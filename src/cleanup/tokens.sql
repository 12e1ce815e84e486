t.expires_at < %CUT_OFF%
