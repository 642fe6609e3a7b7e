#!lua name=cartwright_@VERSION@

redis.register_function{
  function_name = 'cw_ping_@VERSION@',
  callback = function(keys, args) return 1 end,
  flags = { 'no-writes' },
}
