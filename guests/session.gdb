# A short tour of the built-in guest; `make run` plays it. $sock is set by the caller.
set pagination off
set confirm off
eval "target remote %s", $sock
info threads
break main
continue
next
break work thread 1
continue
backtrace
next
next
step
finish
info registers pc sp
print cpus[0]
x/4i $pc
x/2gx &counter
delete
hbreak tick
continue
backtrace
info threads
delete
stepi
set var rounds = 5
continue
