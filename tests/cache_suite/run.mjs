// Runs the public suite of HTTP cache tests (http-cache-tests) against one address, and prints the verdicts as
// one line of JSON: the number of required tests, those that passed, and the names of those that did not.
//
//     node run.mjs http://127.0.0.1:8080
//
// The suite's server is the origin behind that address. `node run.mjs --origin` starts it on a free port (or on
// the one that follows), prints its URL when it is ready, and ends it with the end of its own input. CACHE_SUITE is
// the folder of a checkout of the suite, in place of the released package.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'

const require = createRequire(import.meta.url)
const suite = process.env.CACHE_SUITE ?? path.dirname(require.resolve('http-cache-tests/package.json'))
// The release has the engine beside the tests, a checkout in a folder of its own.
const isCheckout = existsSync(`${suite}/test-engine`)
const engine = isCheckout ? `${suite}/test-engine` : suite

const [what, port] = process.argv.slice(2)
if (what === '--origin') {
  await serve(port ?? await freePort())
} else {
  await run(what)
}

async function serve (port) {
  const server = spawn(process.execPath, [`${engine}/server/server.mjs`], {
    cwd: suite,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      npm_config_port: port,
      npm_config_protocol: 'http',
      npm_config_pidfile: path.join(os.tmpdir(), `http-cache-tests-${process.pid}.pid`)
    }
  })
  process.stdin.on('end', () => server.kill('SIGTERM')).resume()
  process.on('SIGTERM', () => server.kill('SIGTERM'))
  server.on('exit', code => process.exit(code ?? 1))
  while (!await accepts(port)) await new Promise(resolve => setTimeout(resolve, 50))
  console.log(`http://127.0.0.1:${port}`)
}

function freePort () {
  return new Promise((resolve, reject) => {
    const server = net.createServer().on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

function accepts (port) {
  return new Promise(resolve => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.end()
      resolve(true)
    }).on('error', () => resolve(false))
  })
}

async function run (base) {
  const { runTests, getResults } = await import(`${engine}/client/runner.mjs`)
  const tests = (await import(`${suite}/tests/index.mjs`)).default
  const print = console.log
  console.log = () => {}
  if (isCheckout) {
    await runTests(tests, false, base)
  } else {
    await runTests(tests, require('node-fetch'), false, base)
  }
  const results = getResults()
  const all = new Map(tests.flatMap(group => group.tests).map(test => [test.id, test]))
  // A test counts only if those pass on which it depends: "not from the cache" says nothing of a cache that
  // stores nothing.
  const passes = id => results[id] === true && (all.get(id).depends_on ?? []).every(passes)
  const required = [...all.values()].filter(test => (test.kind ?? 'required') === 'required' && test.id in results)
  const failed = required.filter(test => !passes(test.id))
  print(JSON.stringify({
    required: required.length,
    passed: required.length - failed.length,
    failed: Object.fromEntries(failed.map(test => [test.id, String(results[test.id])]))
  }))
  process.exit(0)
}
