-- pyengine: concurrently
-- For: removing the rows of executors that ended long ago. A process enters it once, after its end.
create index executors_finished_idx on pyengine.executors (finished_at) where work_is_returned;
