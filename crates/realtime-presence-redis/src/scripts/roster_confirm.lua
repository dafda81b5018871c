-- ARGV: of each group its name, how many changes follow, and these, each as `joined` or `left`, the
-- version and the identity with blanks between.
-- Answers nothing, and the number of each group that failed, with the reason.
local function confirm(of, changes)
    redis.call('ZCARD', of.due)
    for _, change in ipairs(changes) do
        local kind, number, identity = string.match(change, '^(%l+) (%d+) (.*)$')
        local key = kind == 'left' and of.left or of.joined
        local found = identity and redis.call('HGET', key, identity) or ''
        if string.match(found, '^%d+') == number then
            local _, _, grace = read(found)
            redis.call('HDEL', key, identity)
            if grace then
                redis.call('ZADD', of.due, whole(grace), identity)
            else
                redis.call('ZREM', of.due, identity)
            end
        end
    end
end

each_group(1, confirm)
settle()
return { {}, failed }
