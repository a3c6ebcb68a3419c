-- Refuse limits that can't be, or that contradict each other, before anything is stored.
create or replace function pyengine._check_limits(
    worker_concurrency int,
    concurrency int,
    partition_concurrency int,
    partition_worker_concurrency int,
    limiter_limit int,
    limiter_period_seconds double precision,
    partition_limiter_limit int,
    partition_limiter_period_seconds double precision,
    polling_interval_seconds double precision,
    max_depth int
)
returns void
language plpgsql
immutable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_wrong text;
begin
    select format('%s is %s: it must be more than 0, or null for no limit', l.name, l.value) into v_wrong
    from (values
        ('worker_concurrency', worker_concurrency), ('concurrency', concurrency),
        ('partition_concurrency', partition_concurrency), ('partition_worker_concurrency', partition_worker_concurrency),
        ('limiter_limit', limiter_limit), ('partition_limiter_limit', partition_limiter_limit), ('max_depth', max_depth)
    ) l (name, value)
    where l.value <= 0
    limit 1;

    v_wrong := coalesce(v_wrong, (
        select format('%s is %s: it must be more than 0 and at most 3155760000 (100 years)', s.name, s.value)
        from (values
            ('limiter_period_seconds', limiter_period_seconds),
            ('partition_limiter_period_seconds', partition_limiter_period_seconds),
            ('polling_interval_seconds', coalesce(polling_interval_seconds, 0))
        ) s (name, value)
        where s.value <= 0 or s.value > 3155760000
        limit 1
    ), (
        select format('%s and %s belong together: give both, or neither', p.name, p.period_name)
        from (values
            ('limiter_limit', limiter_limit, 'limiter_period_seconds', limiter_period_seconds),
            ('partition_limiter_limit', partition_limiter_limit, 'partition_limiter_period_seconds',
                partition_limiter_period_seconds)
        ) p (name, value, period_name, period)
        where (p.value is null) <> (p.period is null)
        limit 1
    ), (
        select format('%s is %s, more than %s, which is %s', o.name, o.value, o.larger_name, o.larger)
        from (values
            ('worker_concurrency', worker_concurrency, 'concurrency', concurrency),
            ('partition_concurrency', partition_concurrency, 'concurrency', concurrency),
            ('partition_worker_concurrency', partition_worker_concurrency, 'partition_concurrency', partition_concurrency),
            ('partition_worker_concurrency', partition_worker_concurrency, 'worker_concurrency', worker_concurrency),
            ('partition_worker_concurrency', partition_worker_concurrency, 'concurrency', concurrency)
        ) o (name, value, larger_name, larger)
        where o.value > o.larger
        limit 1
    ));
    if v_wrong is not null then
        raise exception using errcode = 'PE400', message = v_wrong;
    end if;
end
$$;

comment on function pyengine._check_limits is 'Raises PE400 for limits of a queue that can''t be or contradict each other.';
