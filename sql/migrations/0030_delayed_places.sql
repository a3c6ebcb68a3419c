-- pyengine: concurrently
-- For: counting what is delayed in a queue with a depth limit, however much is delayed in others.
create index workflows_delayed_queue_idx on pyengine.workflows (queue_name) where status = 'DELAYED';
