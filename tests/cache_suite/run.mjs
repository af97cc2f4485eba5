// Runs the public suite of HTTP cache tests (http-cache-tests) against one address, and prints the verdicts as
// one line of JSON: the number of required tests, those that passed, and the names of those that did not.
//
//     node run.mjs http://127.0.0.1:8080
//
// The suite's server is the origin behind that address; `node run.mjs --origin PORT` starts it.

import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import path from 'node:path'

const require = createRequire(import.meta.url)
const suite = process.env.CACHE_SUITE ?? path.dirname(require.resolve('http-cache-tests/package.json'))

const [what, port] = process.argv.slice(2)
if (what === '--origin') {
  const server = spawn(process.execPath, [`${suite}/test-engine/server/server.mjs`], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      npm_config_port: port,
      npm_config_protocol: 'http',
      npm_config_pidfile: `/tmp/http-cache-tests-${process.pid}.pid`
    }
  })
  process.on('SIGTERM', () => server.kill('SIGTERM'))
  server.on('exit', code => process.exit(code ?? 1))
} else {
  await run(what)
}

async function run (base) {
  const { runTests, getResults } = await import(`${suite}/test-engine/client/runner.mjs`)
  const { determineTestResult, resultTypes } = await import(`${suite}/test-engine/lib/results.mjs`)
  const tests = (await import(`${suite}/tests/index.mjs`)).default
  const print = console.log
  console.log = () => {}
  await runTests(tests, false, base)
  const results = getResults()
  const required = tests.flatMap(group => group.tests)
    .filter(test => (test.kind ?? 'required') === 'required' && test.id in results)
  const verdict = id => determineTestResult(tests, id, results)
  const failed = required.filter(test => verdict(test.id) !== resultTypes.pass)
  print(JSON.stringify({
    required: required.length,
    passed: required.length - failed.length,
    failed: Object.fromEntries(failed.map(test => [test.id, [verdict(test.id)[2], results[test.id]]]))
  }))
  process.exit(0)
}
