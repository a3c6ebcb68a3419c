-- The client's enqueue takes a throttle, and may give back the workflow that is in its way.
drop function if exists pyengine.enqueue_workflow(
    text, text, json[], json, text, text, text, text, bigint, bigint, text, int, text, text, text, bigint, text, jsonb, int);
drop function if exists pyengine._request_workflow(json);
