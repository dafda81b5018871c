-- Prolongs leases, and returns the ids that are not known, or not any more.
-- KEYS: leases, records. ARGV: lease in ms, or 0 for none; then ids.
local now = now_ms()
local ttl = tonumber(ARGV[1])
local ends = ttl > 0 and now + ttl or 'inf'
local unknown = {}
for i = 2, #ARGV do
  local lease = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if lease and tonumber(lease) > now and redis.call('HEXISTS', KEYS[2], ARGV[i]) == 1 then
    redis.call('ZADD', KEYS[1], ends, ARGV[i])
  else
    unknown[#unknown + 1] = ARGV[i]
  end
end
tidy(now)
return unknown
