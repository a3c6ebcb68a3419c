'use strict';
// The functions of the conformance suite in Node.

const fs = require('node:fs');
const path = require('node:path');
const { Worker } = require('./pyengine');

const directory = process.env.PYENGINE_CONFORMANCE_DIR;

class ConformanceError extends Error {
    name = 'ConformanceError';
}

async function visitPlace(run, name) {
    fs.appendFileSync(path.join(directory, `${run.id}.log`), `${name}\n`);
    while (fs.existsSync(path.join(directory, `${run.id}.${name}.hold`))) {
        await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return name;
}

const functions = {
    echo: async (run, value) => value,

    async total(run, numbers) {
        let total = 0;
        for (const number of numbers) {
            const before = total;
            total = await run.step('add', () => before + number);
        }
        return total;
    },

    async visit(run, names) {
        const visited = [];
        for (const name of names) visited.push(await run.step(name, () => visitPlace(run, name)));
        return visited;
    },

    async fail(run, message) {
        throw new ConformanceError(message);
    },

    async catch(run, message) {
        try {
            await run.step('risky', async () => {
                await visitPlace(run, 'risky');
                throw new ConformanceError(message);
            });
        } catch (error) {
            if (error.name !== 'ConformanceError') throw error;
            await run.step('after', () => visitPlace(run, 'after'));
            return `caught: ${error.message}`;
        }
        throw new Error('the step has not failed');
    },

    async nap(run, milliseconds) {
        await run.sleep(milliseconds);
        return 'awake';
    },

    receive: (run, topic, timeoutMs) => run.receive(topic, timeoutMs),
    post: (run, destination, message, topic) => run.send(destination, message, topic),
    publish: (run, key, value) => run.setEvent(key, value),
    look: (run, workflowId, key, timeoutMs) => run.getEvent(workflowId, key, timeoutMs),

    async stream(run, key, values) {
        for (const value of values) await run.append(key, value);
        await run.append(key, null, true);
        return values.length;
    },

    async family(run, names) {
        const children = [];
        for (const name of names) children.push(await run.start('visit', [[name]]));
        const results = [];
        for (const child of children) results.push(await run.result(child));
        return results;
    },
};

async function main() {
    const worker = new Worker({
        url: process.env.PYENGINE_DATABASE_URL,
        application: 'conformance',
        executor: process.env.PYENGINE_EXECUTOR,
        leaseSeconds: Number(process.env.PYENGINE_LEASE_SECONDS),
        functions,
    });
    process.once('SIGTERM', async () => {
        await worker.stop();
        process.exit(0);
    });
    await worker.start();
    console.log('ready');
}

main();
