-- Look for what must never be, in the tables as they are: no row means that all is well. It may run at any time, and
-- takes a second at most. What is active is looked at in full, of what has ended a random sample of 4 MB of
-- each table; deep => true looks at everything, which takes as long as reading it.
create or replace function pyengine.verify(deep boolean default false)
returns setof pyengine.violation
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_pages int := case when not verify.deep then 512 end;
begin
    return query select v.* from pyengine._verify_owners(case when not verify.deep then 20000 end) v;
    return query select v.* from pyengine._verify_limits() v;
    return query select v.* from pyengine._verify_ends(v_pages) v;
    return query select v.* from pyengine._verify_rows(v_pages) v;
    return query select v.* from pyengine._verify_parts(v_pages) v;
end
$$;

comment on function pyengine.verify is 'The invariants that are broken, one row each; none when all is well. A sample of what has ended, or with deep all of it. Role: observer.';
