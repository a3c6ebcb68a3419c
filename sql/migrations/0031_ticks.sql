-- A tick asks only for the work of the queues that the process listens to.
drop function if exists pyengine.tick_executor(bigint, int, double precision);
