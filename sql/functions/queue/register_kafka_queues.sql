-- Make the queues of the workflows that Kafka messages start, for every application: one without limits, and one whose
-- workflows run one at a time for each key, in the order in which they were enqueued.
-- Locks: the new queue rows.
create or replace function pyengine.register_kafka_queues()
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
    v_now timestamptz := pyengine.now();
begin
    insert into pyengine.queues (queue_name, partition_concurrency, created_at, updated_at)
    values ('_dbos_kafka_ordered_queue', 1, v_now, v_now), ('_dbos_kafka_queue', null, v_now, v_now)
    on conflict on constraint queues_pkey do nothing;
    if found then
        -- Who waits for work does not know a new queue yet.
        perform pyengine._wake(array[pyengine.wait_key('work', '')]);
    end if;
end
$$;

comment on function pyengine.register_kafka_queues is 'Makes the queues _dbos_kafka_queue and _dbos_kafka_ordered_queue (one at a time for each partition key) for workflows that messages start; repeated it changes nothing. Role: client.';
