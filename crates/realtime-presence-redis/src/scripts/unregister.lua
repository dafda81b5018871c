-- Removes sessions of one identity.
-- KEYS: leases, records. ARGV: ids.
redis.call('ZREM', KEYS[1], unpack(ARGV))
redis.call('HDEL', KEYS[2], unpack(ARGV))
tidy(now_ms())
return 0
