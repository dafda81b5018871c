-- Adds sessions of one identity, and returns the end of their lease in ms, or -1 without one.
-- KEYS: leases, records. ARGV: lease in ms, or 0 for none; then id and record, again and again.
local now = now_ms()
local ttl = tonumber(ARGV[1])
local ends = ttl > 0 and now + ttl or 'inf'
for i = 2, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], ends, ARGV[i])
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
end
tidy(now)
return ttl > 0 and ends or -1
