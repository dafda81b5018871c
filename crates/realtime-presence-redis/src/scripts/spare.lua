-- Does what the other scripts do at times only, to a key that nobody has.
redis.call('DEL', KEYS[1])
redis.call('PERSIST', KEYS[1])
return 0
