"""What gdb and lldb have in common: a process with pipes, which dies with the test."""

import subprocess

import vm


class Debugger:
	def __init__(self, command):
		self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
						stderr=subprocess.STDOUT, preexec_fn=vm.die_with_parent,
						start_new_session=True)

	def kill(self):
		"""Without a word to the stub."""
		self.process.kill()
		self.process.wait()

	def close(self):
		if self.process.poll() is None:
			self.process.kill()
		self.process.wait()
		self.process.stdin.close()
		self.process.stdout.close()

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.close()
