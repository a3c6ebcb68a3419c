/*
 * A gate before every statement of the engine's PL/pgSQL functions. For tests only: LOAD it in a session.
 *
 * A step is a statement that reads or writes, or may: each statement of SQL, and each other statement (an
 * assignment, a condition, a result, a declaration) whose expression names something of the schema, a function or a
 * table. The engine writes its schema out everywhere, so the text tells. Steps are counted through nested calls and
 * loops.
 *
 * Before step n a session with plgate.id = k takes the advisory lock (k, n) and lets it go again: whoever holds that
 * lock stops the session there, and pg_locks tells at which step it is.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "plpgsql.h"
#include "storage/lock.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

PG_MODULE_MAGIC;

void _PG_init(void);

static int gate_id = 0;
static int step = 0;
static int fail_at = 0;
static char *fail_state = NULL;
static char *schema = NULL;

/* What estate->plugin_info points to while a function of the schema runs. */
static char watched;

/* The text of an expression; it is there before the first run, when nothing of the expression is analysed yet. */
static bool
names_schema(PLpgSQL_expr *expr)
{
	const char *found = expr == NULL ? NULL : strstr(expr->query, schema);

	while (found != NULL && found[strlen(schema)] != '.')
		found = strstr(found + 1, schema);
	return found != NULL;
}

/* Whether what its variables begin with does. */
static bool
declaration_names_schema(PLpgSQL_execstate *estate, PLpgSQL_stmt_block *block)
{
	for (int i = 0; i < block->n_initvars; i++)
	{
		PLpgSQL_datum *datum = estate->datums[block->initvarnos[i]];

		if (datum->dtype == PLPGSQL_DTYPE_VAR && names_schema(((PLpgSQL_var *) datum)->default_val))
			return true;
		if (datum->dtype == PLPGSQL_DTYPE_REC && names_schema(((PLpgSQL_rec *) datum)->default_val))
			return true;
	}
	return false;
}

static bool
condition_names_schema(PLpgSQL_stmt_if *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->elsif_list)
		if (names_schema(((PLpgSQL_if_elsif *) lfirst(cell))->cond))
			return true;
	return names_schema(stmt->cond);
}

static bool
is_step(PLpgSQL_execstate *estate, PLpgSQL_stmt *stmt)
{
	switch (stmt->cmd_type)
	{
		case PLPGSQL_STMT_EXECSQL:
		case PLPGSQL_STMT_DYNEXECUTE:
		case PLPGSQL_STMT_PERFORM:
		case PLPGSQL_STMT_CALL:
		case PLPGSQL_STMT_FORS:
		case PLPGSQL_STMT_DYNFORS:
		case PLPGSQL_STMT_RETURN_QUERY:
			return true;
		case PLPGSQL_STMT_BLOCK:
			return declaration_names_schema(estate, (PLpgSQL_stmt_block *) stmt);
		case PLPGSQL_STMT_ASSIGN:
			return names_schema(((PLpgSQL_stmt_assign *) stmt)->expr);
		case PLPGSQL_STMT_IF:
			return condition_names_schema((PLpgSQL_stmt_if *) stmt);
		case PLPGSQL_STMT_CASE:
			return names_schema(((PLpgSQL_stmt_case *) stmt)->t_expr);
		case PLPGSQL_STMT_WHILE:
			return names_schema(((PLpgSQL_stmt_while *) stmt)->cond);
		case PLPGSQL_STMT_EXIT:
			return names_schema(((PLpgSQL_stmt_exit *) stmt)->cond);
		case PLPGSQL_STMT_FORI:
			return names_schema(((PLpgSQL_stmt_fori *) stmt)->lower) ||
				names_schema(((PLpgSQL_stmt_fori *) stmt)->upper);
		case PLPGSQL_STMT_FOREACH_A:
			return names_schema(((PLpgSQL_stmt_foreach_a *) stmt)->expr);
		case PLPGSQL_STMT_RETURN:
			return names_schema(((PLpgSQL_stmt_return *) stmt)->expr);
		case PLPGSQL_STMT_RETURN_NEXT:
			return names_schema(((PLpgSQL_stmt_return_next *) stmt)->expr);
		default:
			return false;
	}
}

static void
pass_gate(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) gate_id, (uint32) step, 2);
	(void) LockAcquire(&tag, ExclusiveLock, true, false);
	LockRelease(&tag, ExclusiveLock, true);
}

static void
fail(void)
{
	const char *s = fail_state;

	if (s == NULL || strlen(s) != 5)
		elog(ERROR, "plgate.fail_state is not an SQLSTATE: \"%s\"", s == NULL ? "" : s);
	ereport(ERROR,
			(errcode(MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4])),
			 errmsg("plgate fails at step %d", step)));
}

static void
before_function(PLpgSQL_execstate *estate, PLpgSQL_function *func)
{
	Oid			namespace = OidIsValid(func->fn_oid) ? get_func_namespace(func->fn_oid) : InvalidOid;
	char	   *name = OidIsValid(namespace) ? get_namespace_name(namespace) : NULL;

	estate->plugin_info = name != NULL && strcmp(name, schema) == 0 ? &watched : NULL;
}

static void
before_statement(PLpgSQL_execstate *estate, PLpgSQL_stmt *stmt)
{
	if (estate->plugin_info != &watched || !is_step(estate, stmt))
		return;
	step++;
	if (gate_id > 0)
		pass_gate();
	if (step == fail_at)
		fail();
}

static PLpgSQL_plugin plugin = {.func_setup = before_function,.stmt_beg = before_statement};

static void
define_number(const char *name, const char *description, int *value)
{
	DefineCustomIntVariable(name, description, NULL, value, 0, 0, INT_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
}

static void
define_text(const char *name, const char *description, char **value, const char *initial)
{
	DefineCustomStringVariable(name, description, NULL, value, initial, PGC_USERSET, 0, NULL, NULL, NULL);
}

void
_PG_init(void)
{
	define_number("plgate.id", "The first key of the locks that this session takes; 0 takes none.", &gate_id);
	define_number("plgate.step", "Steps so far; set it to 0 before a call.", &step);
	define_number("plgate.fail_at", "The step at which an error is raised; 0 raises none.", &fail_at);
	define_text("plgate.fail_state", "The SQLSTATE of that error.", &fail_state, "XX000");
	define_text("plgate.schema", "The schema whose functions have steps.", &schema, "pyengine");
	*(PLpgSQL_plugin **) find_rendezvous_variable("PLpgSQL_plugin") = &plugin;
}
