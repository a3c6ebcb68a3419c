'use strict';
// A small pyengine SDK: a client and a worker over the SQL functions, as sql/PROTOCOL.md describes them.

const { randomBytes, randomUUID } = require('node:crypto');
const { EventEmitter, once } = require('node:events');
const { Pool, Client: Session } = require('pg');

const FORMAT = 'portable_json';
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// The run may not go on: another run has the workflow, or it is cancelled. Nobody may catch it but the worker.
class RunEnded extends Error {}

// An error of a workflow or step, in the form that every language shares.
class WorkflowError extends Error {
    constructor({ name, message, code = null, data = null }) {
        super(message);
        Object.assign(this, { name, code, data });
    }
}

const documentOf = (error) => ({
    name: error.name ?? 'Error', message: String(error.message ?? error), code: error.code ?? null, data: error.data ?? null,
});

// Codes after which the same call is repeated: the connection was lost, or the transaction was a victim.
const TRANSIENT = /^(08|53|57P|40001|40P01)/;

class Engine {
    constructor(url) {
        this.pool = new Pool({ connectionString: url, max: 8 });
        this.pool.on('error', () => {}); // an idle connection was lost; the next call opens another
    }

    // Call a function with named arguments; objects and arrays under `json` names are sent as JSON.
    async rows(name, args) {
        const names = Object.keys(args);
        const list = names.map((each, n) => `${each} => $${n + 1}`).join(', ');
        const values = names.map((each) => args[each]);
        for (let attempt = 1; ; attempt += 1) {
            try {
                return (await this.pool.query(`select * from pyengine.${name}(${list})`, values)).rows;
            } catch (error) {
                if (error.code === 'PE001' || error.code === 'PE002') throw new RunEnded(error.message);
                const lost = error.code === undefined || error.code.startsWith('ECONN') || TRANSIENT.test(error.code);
                if (!lost || attempt === 10) throw error;
                await sleep(Math.min(20 * 2 ** attempt, 1000));
            }
        }
    }

    async value(name, args) {
        return Object.values((await this.rows(name, args))[0])[0];
    }

    close() {
        return this.pool.end();
    }
}

class Client extends Engine {
    enqueue(workflowName, args, { queueName, workflowId = null } = {}) {
        const positional = args.map((each) => JSON.stringify(each ?? null));
        const options = { workflow_name: workflowName, positional_args: positional, workflow_id: workflowId };
        return queueName === undefined
            ? this.value('start_workflow', options)
            : this.value('enqueue_workflow', { ...options, queue_name: queueName });
    }

    async result(workflowId, timeoutSeconds = 30) {
        const [outcome] = await this.rows('await_workflow', { workflow_id: workflowId, timeout_seconds: timeoutSeconds });
        if (outcome === undefined) throw new Error(`workflow ${workflowId} has not ended`);
        if (outcome.status === 'SUCCESS') return outcome.output;
        throw new WorkflowError(outcome.error ?? { name: outcome.status, message: `workflow ${workflowId} ended` });
    }
}

// One run of a workflow: what its function calls. Numbers are drawn in the order of the calls.
class Run {
    constructor(worker, claim, token) {
        Object.assign(this, { worker, engine: worker.engine, id: claim.workflow_id, token, lastStep: claim.base_step_id, history: new Map() });
        (claim.step_ids ?? []).forEach((step, n) => this.history.set(step, {
            name: claim.step_names[n], child: claim.step_children[n],
            output: JSON.parse(claim.step_outputs[n] ?? 'null'), error: JSON.parse(claim.step_errors[n] ?? 'null'),
        }));
    }

    get lease() {
        return { workflow_id: this.id, lease_token: this.token };
    }

    next(count = 1) {
        const first = this.lastStep + 1;
        this.lastStep += count;
        return first;
    }

    recorded(step, name) {
        const found = this.history.get(step);
        if (found && found.name !== name) {
            throw new Error(`step ${step} of workflow ${this.id} was ${found.name} and is now ${name}: the code has changed`);
        }
        return found;
    }

    static replay({ output, error }) {
        if (error !== null) throw new WorkflowError(error);
        return output;
    }

    // A step: its function runs at least once, and never again once its outcome is recorded.
    async step(name, body) {
        const step = this.next();
        const found = this.recorded(step, name);
        if (found) return Run.replay(found);
        await this.engine.rows('check_lease', this.lease);
        const outcome = {};
        try {
            outcome.output = (await body()) ?? null;
        } catch (error) {
            outcome.error = documentOf(error);
        }
        return this.record({ step_id: step, name, ...outcome });
    }

    async record(document) {
        const request = { ...this.lease, serialization: FORMAT, ...document };
        const [answer] = await this.engine.rows('record_steps', { requests: JSON.stringify([request]) });
        if (answer?.refusal === 'PE001' || answer?.refusal === 'PE002') throw new RunEnded(answer.message);
        if (answer?.refusal) throw new WorkflowError({ name: answer.refusal, message: answer.message });
        // An earlier call has recorded it, and its reply was lost: the first outcome counts.
        const outcome = answer ?? { output: document.output ?? null, error: document.error ?? null };
        return Run.replay(outcome);
    }

    async sleep(milliseconds) {
        const step = this.next();
        for (;;) {
            const left = await this.engine.value('sleep_until', {
                ...this.lease, step_id: step, duration_ms: milliseconds, channel: this.worker.channel,
            });
            if (left <= 0) return;
            await this.worker.wait(left);
        }
    }

    // A wait of two steps: its outcome, and when it ends.
    async receipt(name, functionName, args, timeoutMs) {
        const step = this.next(2);
        const found = this.recorded(step, name);
        if (found) return Run.replay(found);
        for (let look = 0; ; look += 1) {
            const [receipt] = await this.engine.rows(functionName, {
                ...this.lease, step_id: step, ...args, timeout_ms: timeoutMs, channel: this.worker.channel,
            });
            if (receipt.is_done) return Run.replay(receipt);
            await this.worker.wait(Math.min(receipt.remaining_ms, 5 * 4 ** Math.min(look, 4)));
        }
    }

    receive(topic, timeoutMs) {
        return this.receipt('DBOS.recv', 'receive_message', { topic: topic ?? '' }, timeoutMs);
    }

    getEvent(workflowId, key, timeoutMs) {
        return this.receipt('DBOS.getEvent', 'receive_event', { source_id: workflowId, key }, timeoutMs);
    }

    async send(destination, message, topic) {
        const step = this.next();
        if (this.recorded(step, 'DBOS.send')) return;
        await this.engine.rows('send_messages', {
            messages: JSON.stringify([{ destination_id: destination, topic, message: message ?? null, serialization: FORMAT }]),
            step: JSON.stringify({ ...this.lease, step_id: step, name: 'DBOS.send', serialization: FORMAT }),
            sender_id: this.id, sender_token: this.token,
        });
    }

    async setEvent(key, value) {
        const step = this.next();
        if (this.recorded(step, 'DBOS.setEvent')) return;
        await this.engine.rows('set_event', {
            ...this.lease, step_id: step, key, serialization: FORMAT, value: JSON.stringify(value ?? null),
            step_name: 'DBOS.setEvent',
        });
    }

    async append(key, value, isEnd = false) {
        const name = isEnd ? 'DBOS.closeStream' : 'DBOS.writeStream';
        const step = this.next();
        if (this.recorded(step, name)) return;
        const [answer] = await this.engine.rows('append_streams', { requests: JSON.stringify([{
            ...this.lease, step_id: step, step_name: name, key, is_end: isEnd, serialization: FORMAT, value: value ?? null,
        }]) });
        if (answer) throw new RunEnded(answer.message);
    }

    // Start a child: its id is made of the parent's, so that a replay starts the same one.
    async start(name, args) {
        const step = this.next();
        const found = this.recorded(step, name);
        if (found) return found.child;
        const child = `${this.id}-${step}`;
        const [answer] = await this.engine.rows('start_workflows', { requests: JSON.stringify([{
            workflow_id: child, name, application_name: this.worker.options.application, serialization: FORMAT,
            inputs: { positionalArgs: args, namedArgs: {} }, parent_workflow_id: this.id, parent_lease_token: this.token,
            parent_step_id: step, step_name: name,
        }]) });
        if (answer?.refusal === 'PE001' || answer?.refusal === 'PE002') throw new RunEnded(answer.message);
        if (answer?.refusal) throw new WorkflowError({ name: answer.refusal, message: answer.message });
        return child;
    }

    // The result of another workflow; it can't change, so that a replay asks for it again.
    async result(workflowId) {
        const step = this.next();
        for (let look = 0; ; look += 1) {
            const [outcome] = await this.engine.rows('await_workflows', {
                workflow_ids: [workflowId], channel: this.worker.channel,
            });
            if (outcome === undefined) {
                await this.worker.wait(5 * 4 ** Math.min(look, 4));
                await this.engine.rows('check_lease', this.lease);
                continue;
            }
            if (!this.recorded(step, 'DBOS.getResult')) {
                await this.record({ step_id: step, name: 'DBOS.getResult', child_workflow_id: workflowId });
            }
            if (outcome.status === 'SUCCESS') return outcome.output;
            throw new WorkflowError(outcome.error ?? { name: outcome.status, message: `workflow ${workflowId} ended` });
        }
    }
}

// A process that runs workflows. `functions` has the workflow functions by name: (run, ...arguments) => output.
class Worker {
    constructor({ url, application, executor, functions, leaseSeconds = 15, slots = 20 }) {
        this.options = { url, application, executor, functions, leaseSeconds, slots };
        this.channel = `node_${randomBytes(12).toString('hex')}`;
        this.engine = new Engine(url);
        this.woken = new EventEmitter().setMaxListeners(0);
        this.running = 0;
    }

    async start() {
        await this.listen();
        await this.register();
        this.timer = setInterval(() => this.tick().catch((error) => console.error('tick:', error.message)), 500);
        this.loop = this.claimForever();
    }

    async listen() {
        this.session = new Session({ connectionString: this.options.url });
        this.session.on('notification', () => this.woken.emit('woken'));
        this.session.on('error', () => this.listen().catch(() => {})); // until it is back, every wait looks by itself
        await this.session.connect();
        await this.session.query(`listen ${this.channel}`);
    }

    async register() {
        const { application, executor, functions, leaseSeconds } = this.options;
        this.executorId = await this.engine.value('register_executor', {
            name: executor, application_name: application, application_version: '1', version_is_pinned: false,
            functions: Object.keys(functions), channel: this.channel, lease_seconds: leaseSeconds,
            session_pid: this.session.processID, process_id: process.pid,
        });
    }

    async tick() {
        const [result] = await this.engine.rows('tick_executor', {
            executor_id: this.executorId, session_pid: this.session.processID,
            heartbeat_seconds: this.options.leaseSeconds / 4,
        });
        if (!result.is_alive) await this.register(); // it was silent for too long; its runs are fenced, one by one
        if (result.claimable) this.woken.emit('woken');
    }

    // Until something may have come true, or for a time.
    async wait(milliseconds) {
        const timer = new AbortController();
        const due = setTimeout(() => timer.abort(), Math.min(milliseconds, 1000));
        await once(this.woken, 'woken', { signal: timer.signal }).catch(() => {});
        clearTimeout(due);
    }

    async claimForever() {
        for (let look = 0; !this.isStopping; look += 1) {
            try {
                if (this.running < this.options.slots && (await this.claim())) {
                    look = -1;
                } else {
                    const timer = await this.engine.value('await_work', { executor_id: this.executorId, channel: this.channel });
                    await this.wait(Math.min(1000, 5 * 4 ** Math.min(look, 4), timer === null ? 1000 : timer * 1000));
                }
            } catch (error) {
                if (error.code !== 'PE003') console.error('claim:', error.message);
                await sleep(100);
            }
        }
    }

    async claim() {
        const token = randomUUID();
        const claims = await this.engine.rows('claim_workflows', {
            executor_id: this.executorId, lease_token: token, claim_limit: this.options.slots - this.running,
            channel: this.channel,
        });
        for (const claim of claims) this.run(claim, token);
        return claims.length;
    }

    async run(claim, token) {
        this.running += 1;
        const run = new Run(this, claim, token);
        const outcome = { ...run.lease, serialization: FORMAT };
        try {
            outcome.output = (await this.options.functions[claim.name](run, ...claim.inputs.positionalArgs)) ?? null;
        } catch (error) {
            outcome.error = error instanceof RunEnded ? undefined : documentOf(error);
        }
        this.running -= 1;
        try {
            if ('output' in outcome || outcome.error) await this.finish(outcome);
        } catch (error) {
            console.error(`workflow ${run.id}: ${error.message}`); // its lease ends, and another run carries on
        }
        this.woken.emit('woken');
    }

    // Record an outcome and claim the next workflow in the same commit. A refused outcome is another run's to decide.
    async finish(outcome) {
        const outcomes = JSON.stringify([outcome]);
        if (this.isStopping) {
            await this.engine.rows('finish_workflows', { requests: outcomes });
            return;
        }
        const token = randomUUID();
        try {
            const answers = await this.engine.rows('finish_and_claim', {
                outcomes, executor_id: this.executorId, lease_token: token, claim_limit: 1, channel: this.channel,
            });
            for (const { kind, answer } of answers) if (kind === 'claims') this.run(answer, token);
        } catch (error) {
            if (error.code !== 'PE003') throw error;
            await this.engine.rows('finish_workflows', { requests: outcomes }); // the tick registers anew
        }
    }

    async stop() {
        this.isStopping = true;
        clearInterval(this.timer);
        this.woken.emit('woken');
        await this.loop;
        await this.engine.rows('leave_executor', { executor_id: this.executorId });
    }
}

module.exports = { Client, Worker, WorkflowError };
