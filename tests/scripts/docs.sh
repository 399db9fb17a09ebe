#!/usr/bin/env bash
# tests/docs/run accepts pages whose commands work and finds a command that fails and a link that leads nowhere.
. "$(dirname "$0")/planted.sh"
mkdir -p "$tree/tests/docs" "$tree/docs"
cp tests/docs/run "$tree/tests/docs/"
page() { printf "$1" >"$tree/README.md"; }

page '# Page\n```sh\n# not run here: it never ends\nsleep 1000\n```\n[source](src/cli)\n```sh\ntrue\n```\n'
passes "a page" "$tree/tests/docs/run"
page '```sh\ntrue\nfalse\ntrue\n```\n'
refuses "a command that fails" "FAIL README.md line 1: status 1" "$tree/tests/docs/run"
page '```sh\nfalse | cat\n```\n'
refuses "a command that fails in a pipe" "FAIL README.md line 1: status 1" "$tree/tests/docs/run"
page '```sh\ntrue\n```\n[a page](docs/nothing.md#part)\n'
refuses "a link to nothing" "a link to docs/nothing.md#part, which does not exist" "$tree/tests/docs/run"
page '# Page without a command\n'
refuses "no command at all" "# pass 0" "$tree/tests/docs/run"
page '```sh\n# server\ncurl -s http://127.0.0.1:8080/health\n```\n'
refuses "no program to serve" "the server does not start" "$tree/tests/docs/run"
exit $failed
