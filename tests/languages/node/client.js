'use strict';
// enqueue ID FUNCTION JSON-ARGUMENTS | result ID: a client on the command line.

const { Client } = require('./pyengine');

async function main([verb, workflowId, name, args]) {
    const client = new Client(process.env.PYENGINE_DATABASE_URL);
    if (verb === 'enqueue') {
        await client.enqueue(name, JSON.parse(args), { workflowId, queueName: 'languages' });
    } else {
        console.log(JSON.stringify(await client.result(workflowId)));
    }
    await client.close();
}

main(process.argv.slice(2));
