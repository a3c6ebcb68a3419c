-- Functions whose arguments have changed.
drop function if exists pyengine.start_workflows(json, bigint);
drop function if exists pyengine.enqueue_workflows(json);
drop function if exists pyengine._start_batch(json, bigint, text);
drop function if exists pyengine._start_requests(json);
