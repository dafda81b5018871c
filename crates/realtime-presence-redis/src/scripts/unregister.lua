-- ARGV: sessions.
redis.call('ZREM', leases, unpack(ARGV))
redis.call('HDEL', records, unpack(ARGV))
prune()
settle()
return 0
