// Puts the server at argv[2]:argv[3] to the Node.js client, which is the C
// client underneath. Prints "ok <case>" for each case that holds, tells on
// stderr of the first that does not, and ends with 0 only when all do.
//
// The client is found in ADPULSE_NODE_MODULES, a directory that holds
// node_modules, or where Node.js looks by itself.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'
import path from 'node:path'

const modules = process.env.ADPULSE_NODE_MODULES
const require = createRequire(modules ? path.join(path.resolve(modules), 'noop.js') : import.meta.url)
const Aerospike = require('aerospike')

const { batchType, exp, filter, maps, operations: op, policy, status } = Aerospike
const namespace = 'test'
const set = `node-${randomUUID().slice(0, 8)}`
const patience = { totalTimeout: 15000, socketTimeout: 15000, maxRetries: 0 }
const written = []

function key (id, inSet = set) {
  const one = new Aerospike.Key(namespace, inSet, id)
  written.push(one)
  return one
}

async function refused (code, promise) {
  await assert.rejects(promise, error => {
    assert.equal(error.code, code, `want code ${code}, got ${error.code}: ${error.message}`)
    return true
  })
}

// await until(f) is the first true answer of f; it fails when that is long
// in coming.
async function until (what, f) {
  const deadline = Date.now() + patience.totalTimeout
  for (;;) {
    const answer = await f()
    if (answer) return answer
    assert.ok(Date.now() < deadline, `still not so: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

const cases = {
  async 'connect' (client) {
    assert.ok(client.isConnected())
    const nodes = client.getNodes()
    assert.equal(nodes.length, 1)
  },

  async 'put and get' (client) {
    const bins = {
      'event-id': '0d33124c-9a53-4e3a-8f3e-1c1f6a3d4b11',
      'event-data': { geo: [52.366521, 4.894981], tag: '0a3c', publisher: 'e5b0', event: 'impression', userAgent: 'Mozilla/5.0' },
      'event-type': 'impression',
      n: -42,
      list: [1, 'two', { three: 3.5 }],
      blob: Buffer.from([0, 1, 255]),
      unicode: 'żółć ☃ 🚀'
    }
    await client.put(key('event'), bins)
    const record = await client.get(key('event'))
    assert.deepEqual(record.bins, bins)
    assert.equal(record.gen, 1)
    assert.equal(await client.exists(key('event')), true)
    assert.equal(await client.exists(key('absent')), false)
    await refused(status.ERR_RECORD_NOT_FOUND, client.get(key('absent')))
    assert.deepEqual((await client.select(key('event'), ['n'])).bins, { n: -42 })
  },

  async 'put policies and time to live' (client) {
    const create = new Aerospike.WritePolicy({ exists: policy.exists.CREATE, ...patience })
    await client.put(key('once'), { a: 1 }, { ttl: 1000 }, create)
    await refused(status.ERR_RECORD_EXISTS, client.put(key('once'), { a: 2 }, {}, create))
    const record = await client.get(key('once'))
    assert.deepEqual(record.bins, { a: 1 })
    assert.ok(record.ttl > 900 && record.ttl <= 1001, `ttl ${record.ttl}`)
    const equal = new Aerospike.WritePolicy({ gen: policy.gen.EQ, ...patience })
    await refused(status.ERR_RECORD_GENERATION, client.put(key('once'), { a: 3 }, { gen: 7 }, equal))
    await client.put(key('once'), { a: 3 }, { gen: 1 }, equal)
    await client.remove(key('once'))
    await refused(status.ERR_RECORD_NOT_FOUND, client.remove(key('once')))
  },

  async 'operate with map increments' (client) {
    const campaign = key(6, `${set}-c`)
    await client.put(campaign, { 'c-id': 6, stats: { clicks: 0, impressions: 0, visits: 0, conversions: 0 } })
    for (let want = 1; want <= 3; want++) {
      const record = await client.operate(campaign, [maps.increment('stats', 'impressions', 1)])
      assert.equal(record.bins.stats, want)
    }
    const record = await client.operate(campaign, [
      maps.increment('stats', 'clicks', 2),
      op.incr('total', 5),
      op.read('total'),
      maps.getByKey('stats', 'impressions', maps.returnType.VALUE)
    ])
    assert.deepEqual(record.bins, { stats: 3, total: 5 })
    assert.deepEqual((await client.get(campaign)).bins.stats, { clicks: 2, impressions: 3, visits: 0, conversions: 0 })
    await Promise.all(Array.from({ length: 20 }, () => client.operate(campaign, [maps.increment('stats', 'visits', 1)])))
    assert.equal((await client.get(campaign)).bins.stats.visits, 20)
  },

  async 'batch read' (client) {
    const present = [0, 2, 4].map(i => `batch-${i}`)
    await Promise.all(present.map((id, i) => client.put(key(id), { i, s: id })))
    const records = await client.batchRead([0, 1, 2, 3, 4].map(i => ({ key: key(`batch-${i}`), readAllBins: true })))
    assert.deepEqual(records.map(r => r.status), [
      status.OK, status.ERR_RECORD_NOT_FOUND, status.OK, status.ERR_RECORD_NOT_FOUND, status.OK
    ])
    assert.deepEqual(records.filter(r => r.status === status.OK).map(r => r.record.bins.s), present)
    const some = await client.batchRead([{ key: key('batch-0'), bins: ['i'] }])
    assert.deepEqual(some[0].record.bins, { i: 0 })
  },

  async 'batch write' (client) {
    await client.put(key('batch-old'), { n: 1 })
    const results = await client.batchWrite([
      { type: batchType.BATCH_WRITE, key: key('batch-new'), ops: [op.write('n', 7)] },
      { type: batchType.BATCH_WRITE, key: key('batch-old'), ops: [op.incr('n', 1)] },
      { type: batchType.BATCH_READ, key: key('batch-old'), readAllBins: true },
      { type: batchType.BATCH_REMOVE, key: key('batch-gone') }
    ])
    assert.deepEqual(results.map(r => r.status), [status.OK, status.OK, status.OK, status.ERR_RECORD_NOT_FOUND])
    assert.deepEqual(results[2].record.bins, { n: 2 })
    assert.deepEqual((await client.get(key('batch-new'))).bins, { n: 7 })
  },

  async 'query by numeric range' (client) {
    const own = `${set}-q`
    const index = `${set}_campaign_date`.replaceAll('-', '_')
    for (let i = 0; i < 20; i++) await client.put(key(i, own), { 'c-date': 1700000000000 + i, i })
    const job = await client.createIntegerIndex({ ns: namespace, set: own, bin: 'c-date', index })
    await job.wait(50)
    try {
      const query = client.query(namespace, own)
      query.where(filter.range('c-date', 1700000000005, 1700000000009))
      const found = await query.results()
      assert.deepEqual(found.map(r => r.bins.i).sort((a, b) => a - b), [5, 6, 7, 8, 9])
      const one = client.query(namespace, own)
      one.where(filter.equal('c-date', 1700000000003))
      one.select('i')
      assert.deepEqual((await one.results()).map(r => r.bins), [{ i: 3 }])
    } finally {
      await client.indexRemove(namespace, index)
    }
  },

  async 'scan of a set' (client) {
    const own = `${set}-s`
    for (let i = 0; i < 15; i++) await client.put(key(i, own), { i })
    const found = await client.scan(namespace, own).results()
    assert.deepEqual(found.map(r => r.bins.i).sort((a, b) => a - b), Array.from({ length: 15 }, (_, i) => i))
  },

  async 'filter expression' (client) {
    await client.put(key('filtered'), { n: 1 })
    const wrong = new Aerospike.ReadPolicy({ filterExpression: exp.eq(exp.binInt('n'), exp.int(2)), ...patience })
    await refused(status.FILTERED_OUT, client.get(key('filtered'), wrong))
    const right = new Aerospike.ReadPolicy({ filterExpression: exp.eq(exp.binInt('n'), exp.int(1)), ...patience })
    assert.deepEqual((await client.get(key('filtered'), right)).bins, { n: 1 })
  },

  async 'expiry' (client) {
    await client.put(key('short'), { a: 1 }, { ttl: 1 })
    await until('the record is gone', async () => !(await client.exists(key('short'))))
  },

  async 'truncate' (client) {
    const own = `${set}-t`
    for (let i = 0; i < 5; i++) await client.put(key(i, own), { i })
    await until('the set is empty', async () => {
      await client.truncate(namespace, own, 0)
      return (await client.scan(namespace, own).results()).length === 0
    })
  }
}

const [, , host, port] = process.argv
const client = await Aerospike.connect({
  hosts: [{ addr: host, port: Number(port) }],
  policies: Object.fromEntries(['apply', 'batch', 'operate', 'read', 'remove', 'write'].map(name => {
    const Policy = Aerospike[`${name[0].toUpperCase()}${name.slice(1)}Policy`]
    return [name, new Policy(patience)]
  }))
})
try {
  for (const [name, holds] of Object.entries(cases)) {
    try {
      await holds(client)
    } catch (error) {
      console.error(`${name}: ${error.stack}`) // the error itself holds the whole client
      process.exitCode = 1
      break
    }
    console.log(`ok ${name}`)
  }
  for (const { status: outcome } of await client.batchRemove(written)) {
    assert.ok([status.OK, status.ERR_RECORD_NOT_FOUND].includes(outcome), `clean up: code ${outcome}`)
  }
} finally {
  client.close()
}
