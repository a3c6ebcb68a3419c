-- A statement that writes a workflow reads the text of each check of the table anew: they were a sixth of its work. The
-- one that remains says what the life of a workflow is; verify() looks for what the others forbade.
alter table pyengine.workflows
    drop constraint workflows_status_valid,
    drop constraint workflows_finished_has_finished_at,
    drop constraint workflows_only_pending_is_leased,
    drop constraint workflows_leased_has_executor,
    drop constraint workflows_delayed_has_time,
    drop constraint workflows_attempts_counted,
    drop constraint workflows_priority_not_negative,
    drop constraint workflows_key_has_queue,
    drop constraint workflows_serial_has_key,
    add constraint workflows_status_valid check (case when finished_at is null
        then status in ('ENQUEUED', 'DELAYED', 'PENDING')
        else status in ('SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED') end);
