-- What steering workflows needs: whose children they are, when they must end, and which request changed them last.
alter table pyengine.workflows add column request_token uuid;
comment on column pyengine.workflows.request_token is 'Random token of the last call that resumed or rewound it: that call repeated changes nothing.';

alter table pyengine.messages add column idempotency_key text collate "C";
comment on column pyengine.messages.idempotency_key is 'The key it was sent with, to note in message_keys who received it.';

alter table pyengine.message_keys add column step_id int;
comment on column pyengine.message_keys.step_id is 'The step of the receiver that took the message; null while it waits.';

-- For: cancelling and deleting the children of a workflow, and listing them.
create index workflows_parent_idx on pyengine.workflows (parent_workflow_id, created_at)
    where parent_workflow_id is not null;
-- For: finding the workflows whose deadline has passed.
create index workflows_deadline_idx on pyengine.workflows (deadline_at)
    where deadline_at is not null and finished_at is null;

drop function if exists pyengine.cancel_workflows(text[]);
drop function if exists pyengine.resume_workflows(text[], text);
drop function if exists pyengine.list_steps(text);
