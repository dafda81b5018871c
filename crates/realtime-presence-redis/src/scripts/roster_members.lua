-- ARGV: the group; the version after which to begin, or nothing; how many are wanted.
-- Answers how many the group has, and identities with their versions. Writes nothing.
local of, after = keys_of(ARGV[1]), ARGV[2]
after = after == '' and '0' or '(' .. after
return {
    redis.call('ZCARD', of.here),
    redis.call(
        'ZRANGEBYSCORE', of.here, after, whole(MOST), 'WITHSCORES', 'LIMIT', 0, ARGV[3]),
}
