# Runs once, when the server's data directory is made: the engine, and a login that may run workflows and read no table.
psql --no-psqlrc --set=ON_ERROR_STOP=1 --set=password="$WORKER_PASSWORD" \
    --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" <<'SQL'
create extension pyengine;
create role worker login password :'password';
select pyengine.grant_role(role_name => 'worker', engine_role => 'worker');
SQL
