-- A workflow that was started without a number of attempts has that of the function of the process that claims it.
alter table pyengine.executors add column attempt_limits jsonb not null default '{}';
comment on column pyengine.executors.attempt_limits is 'By the key of a function, how many runs its workflows have that were started without a number; null is any number.';
comment on column pyengine.workflows.max_attempts is 'Runs allowed before the workflow is dead-lettered; null is what the process that claims it allows its function, then stored here unless that is any number.';

drop function if exists pyengine.register_executor(
    text, text, text, boolean, text[], text, double precision, int, text, int, boolean);
drop function if exists pyengine.set_executor_functions(bigint, text[]);
drop function if exists pyengine._check_executor(text, text[], double precision);
