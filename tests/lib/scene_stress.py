"""Scenarios: thousands of stops, from all sides at once. Nothing is lost, nothing comes twice, nothing is left behind.

The guest is the lab's crowd: CPUs that call what all of them call and what only each of them calls, that count every
call, and whose sums a wrong register or flag would change. What has to be there at the end is known without a debugger.
"""

import collections
import contextlib
import random
import time

import tap
from elfsyms import code, symbols, table
from rsp import Rsp, RspError, frame
from scene import BREAKS, ends, gdb, isa, scenario
from scene_breaks import same_code

FOREVER = 10 ** 9
ANYWHERE = 'r1,7fffffffffff'    # a range step that nothing ends but a Ctrl-C: interrupts are let in, again and again
WORD = (1 << 64) - 1


def rounds(host, here, nested):
	return here if host.patience == 1 else nested


# ---- what the guest says at its end ----

def crowd_sum(cpu, turns):
	total = cpu
	for i in range(turns):
		total = (total * 6364136223846793005 + i) & WORD
		total ^= total >> 29
	return total


def right_work(m, cpus, turns=None):
	"""The counters and sums that the guest has printed are those of an undisturbed run of so many turns."""
	lines = [line.split() for line in m.serial().splitlines()]
	tap.equal([w[0] for w in lines], ['calls', 'owns', 'sum'] * cpus, 'what is said')
	for cpu in range(cpus):
		calls, owns, total = (int(w[1]) for w in lines[3 * cpu:3 * cpu + 3])
		tap.equal((calls, owns, total), (turns or calls, calls, crowd_sum(cpu, calls)), 'work of CPU %d' % cpu)


def undisturbed(host, cmdline, cpus):
	"""Status and serial output of a run without a debugger."""
	return host.once('--kernel', '{guests}/lab.elf', '--cpus', str(cpus), '--cmdline', cmdline)[:2]


# ---- a client that counts ----

class Counted(Rsp):
	"""Packets in both directions; console output is none."""

	def __init__(self, *args):
		self.asked = self.answered = 0
		super().__init__(*args)

	def come_after(self, host):
		"""Another client was here before. A line that is no connection may still have bytes that were for that one."""
		while not host.facts.get('connections', True) and self._more(time.monotonic() + 0.3):
			self.buffer = b''
		self.hello()

	def _first(self, packet):
		"""Its reply may come behind those."""
		text = super()._first(packet)
		while not text.startswith('PacketSize='):
			text = self.reply()
		return text

	def send(self, packet):
		self.asked += 1
		super().send(packet)

	def take(self, timeout=None):
		data = super().take(timeout)
		if data is not None and (data[:1] != b'O' or data == b'OK'):
			self.answered += 1
		return data

	def audit(self, seconds=0.05):
		"""One reply to each packet so far, and nothing more comes by itself."""
		tap.equal(self.take(seconds), None, 'a packet that nobody has asked for')
		tap.equal(self.answered, self.asked, 'replies')


	def wait_stop(self, timeout=None):
		try:
			return super().wait_stop(timeout or 10)
		except RspError as e:
			if str(e) == 'no reply':
				self._why()
			raise

	def _why(self):
		"""No stop came: what goes on there instead."""
		self.interrupt()
		data = self.take(5)
		tap.diag('after an interrupt: %s' % data)
		if data and data[:1] == b'T':
			for word in ('info breakpoints', 'info cpus'):
				tap.diag(self.monitor(word))


@contextlib.contextmanager
def counted(host, cmdline, cpus, **options):
	m = host.start('lab', cmdline, cpus=cpus, **options)
	with Counted(m.remote, 30 * host.patience) as c:
		c.hello()
		yield m, c, symbols(host.guest('lab'))


def starts(m, c, sym):
	"""Runs until all CPUs are about to work."""
	c.plant(sym['smp_ready'])
	tap.equal(hex(c.resume().pc), hex(sym['smp_ready']), 'pc when all are up')
	c.unplant(sym['smp_ready'])


def finish(m, c, sym, cpus):
	"""The guest is told to end and its work is looked at. Its first CPU may have ended already, its last line not."""
	tap.equal(c.ask('M%x,8:0100000000000000' % sym['stop']), 'OK', 'stop = 1')
	stop = c.resume()
	tap.equal((stop.kind, stop.signal), ('W', 0), 'end: ' + stop.text)
	tap.equal(c.answered, c.asked, 'replies')
	c.close()               # in extended mode it is this that ends minivmm
	ends(m)
	right_work(m, cpus)


# ---- Ctrl-C ----

@scenario('thousands of rounds of continue and Ctrl-C: each has one stop', 'breakpoints', timeout=120)
def many_interrupts(host):
	rng = random.Random(1)
	count = rounds(host, 10000, 500)
	with counted(host, 'lab=crowd,%d,2' % FOREVER, 2) as (m, c, sym):
		starts(m, c, sym)
		begins = time.monotonic()
		turns = 0
		for i in range(count):
			if i % 8:
				c.asked += 1
				c.raw(frame('vCont;c') + b'\x03')       # in one piece
			else:
				c.send('vCont;c')
				time.sleep(rng.randrange(300) / 1e6)
				c.interrupt()
			stop = c.wait_stop()
			tap.equal((stop.kind, stop.signal), ('T', 2), 'stop: ' + stop.text)
			if i & 1:
				now = c.read_int(sym['crowd_calls'])
				tap.check(now >= turns, 'it never goes back: %d, %d' % (turns, now))
				turns = now
		tap.diag('%d rounds: %.1f s; %d turns of the guest' % (count, time.monotonic() - begins, turns))
		c.audit()
		finish(m, c, sym, 2)


@scenario('stops in the midst of an interrupt\'s delivery: the step after one is the guest\'s, not its handler\'s', 'step',
	  'protect', timeout=120)
def delivered(host):
	"""Slots that come and go empty the second-level tables, so that delivery itself faults and is stopped in."""
	rng = random.Random(7)
	count = rounds(host, 400, 120)
	spans = table(host.guest('lab'))

	def works(pc):
		return any(begin <= pc < begin + size for name, (begin, size) in spans.items() if 'crowd' in name)

	stepped = 0
	with counted(host, 'lab=crowd,%d,2' % FOREVER, 2) as (m, c, sym):
		starts(m, c, sym)
		for i in range(count):
			tap.equal(c.ask('%s2,%x,40' % ('Zz'[i % 2], sym['crowd_calls'])), 'OK', 'watch')
			c.send_on('vCont;c')
			if i % 3 == 0:
				time.sleep(rng.randrange(3000) / 1e6)
			c.interrupt()
			stop = c.wait_stop()
			tap.equal(stop.kind, 'T', 'stop: ' + stop.text)
			if stop.signal != 2:
				continue
			step = c.resume('vCont;s:%x' % stop.thread)
			tap.equal((step.kind, step.thread), ('T', stop.thread), 'step: ' + step.text)
			if works(stop.pc):
				stepped += 1
				tap.check(works(step.pc), 'from %#x to %#x, in no handler' % (stop.pc, step.pc))
		tap.check(stepped > count // 10, 'steps of the guest\'s work: %d' % stepped)
		finish(m, c, sym, 2)


# ---- hits ----

def insert(c, kind, addr):
	tap.equal(c.z('Z' + kind, addr), 'OK', 'Z%s at %#x' % (kind, addr))


def pass_as_gdb(c, kind, stop):
	"""Past the breakpoint as gdb goes: it is taken out, one CPU steps, it is put back."""
	tap.equal(c.z('z' + kind, stop.pc), 'OK', 'z')
	step = c.resume('vCont;s:%x' % stop.thread)
	tap.equal((step.signal, step.thread), (5, stop.thread), 'step: ' + step.text)
	tap.check(step.pc != stop.pc, 'it has stepped')
	insert(c, kind, stop.pc)


def count_hits(host, cpus, turns, kind, names, interrupts=0.1):
	"""Every execution is one hit, told before it is made: the guest's counters at each stop are those of the client."""
	rng = random.Random(cpus)
	hits = collections.Counter()
	with counted(host, 'lab=crowd,%d,%d' % (turns, cpus), cpus) as (m, c, sym):
		at = {sym[n]: n for n in names}
		for a in at:
			insert(c, kind, a)
		begins = time.monotonic()
		stops, cpu_of = 0, {}
		while True:
			c.send_on('vCont;c')
			if rng.random() < interrupts:
				c.interrupt()
			stop = c.wait_stop()
			if stop.kind == 'W':
				break
			stops += 1
			paused = stop.signal == 2
			if paused and stop.pc not in at:
				continue
			tap.check(paused or (stop.reason in BREAKS and stop.pc in at), 'a hit: ' + stop.text)
			name = at[stop.pc]
			cpu = c.reg(isa(host).arg) if name == 'crowd_all' else int(name[-1])    # the guest's own number
			tap.equal(cpu_of.setdefault(stop.thread, cpu), cpu, 'CPU of thread %d in %s' % (stop.thread, name))
			what = (name, cpu)
			counter = sym['crowd_calls' if name == 'crowd_all' else 'owns'] + 8 * cpu
			if paused and c.read_int(counter) < hits[what]:
				continue        # still where its hit was told
			# Ctrl-C may find a CPU right at a breakpoint; shown there, it goes past it without another stop
			tap.equal(c.read_int(counter), hits[what], 'executions of %s before this hit' % (what,))
			hits[what] += 1
			if rng.random() < 0.2:
				pass_as_gdb(c, kind, stop)
		tap.diag('%d stops, %d hits: %.1f s' % (stops, sum(hits.values()), time.monotonic() - begins))
		tap.equal(stop.signal, 0, 'status')
		tap.equal(c.answered, c.asked, 'replies')
		wanted = {(n, i): turns for n in names for i in range(cpus) if n in ('crowd_all', 'crowd_%d' % i)}
		tap.equal(len(set(cpu_of.values())), cpus, 'CPUs, each a thread')
		tap.equal(dict(hits), wanted, 'hits')
		ends(m)
		right_work(m, cpus, turns)


@scenario('two CPUs hit the same breakpoint and their own ones, thousands of times', 'breakpoints', 'step', timeout=120)
def two_hit(host):
	count_hits(host, 2, rounds(host, 600, 60), '0', ['crowd_all', 'crowd_0', 'crowd_1'])


@scenario('four CPUs hit the same breakpoint and their own ones, thousands of times', 'planted', 'step', timeout=120)
def four_hit(host):
	count_hits(host, 4, rounds(host, 300, 40), '0', ['crowd_all', 'crowd_0', 'crowd_1', 'crowd_2', 'crowd_3'])


@scenario('four CPUs hit hardware breakpoints, thousands of times', 'hardware', 'step', timeout=120)
def four_hit_slots(host):
	count_hits(host, 4, rounds(host, 300, 40), '1', ['crowd_all', 'crowd_0', 'crowd_1', 'crowd_3'])


# ---- breakpoints that come and go ----

def idle_places(host, count, rng):
	"""Instructions or bytes that are not executed now."""
	size = len(isa(host).nop)
	idle = [a for name, (at, length) in sorted(table(host.guest('lab')).items())
		if name.startswith(('scene_', 'fill_', 'say', 'outer', 'middle', 'inner', 'alpha', 'beta', 'cpus_')) and
		name != 'scene_crowd' for a in range(at, at + length, size)]
	return rng.sample(idle, min(count, len(idle)))


def file_bytes(host, sites, size):
	segments = list(code(host.guest('lab')))
	return {a: data[a - at:a - at + size] for a in sites for at, data in segments if at <= a < at + len(data)}


def clean(host, c, sites):
	"""Nobody's breakpoint is in the guest: all of its code, and each place where there ever was one."""
	tap.contains(c.monitor('info breakpoints'), 'no breakpoints', 'monitor info breakpoints')
	same_code(c, host.guest('lab'))
	size = len(isa(host).brk)
	for a, want in file_bytes(host, sites, size).items():
		tap.equal((hex(a), c.read(a, size)), (hex(a), want), 'code where a breakpoint was')


def change_some(c, rng, busy, idle, inside, ever):
	for _ in range(rng.randrange(8)):
		what = (rng.choice('0001'), rng.choice(busy if rng.random() < 0.4 else idle))
		if what in inside:
			inside.discard(what)
			tap.equal(c.z('z' + what[0], what[1]), 'OK', 'z')
			continue
		answer = c.z('Z' + what[0], what[1])
		if answer == 'OK':
			inside.add(what)
			ever.add(what[1])
		else:
			tap.check(answer[:1] == 'E', 'a refusal: ' + answer)


@scenario('breakpoints of both kinds set and removed at random while four CPUs hit others; none is left', 'breakpoints',
	  'step', timeout=120)
def come_and_go(host):
	rng = random.Random(3)
	hits = 0
	ever = set()
	idle = idle_places(host, 300, rng)
	with counted(host, 'lab=crowd,%d,4' % FOREVER, 4) as (m, c, sym):
		starts(m, c, sym)
		busy = [sym['crowd_' + n] for n in ('all', '0', '1', '2', '3')]
		inside = set()
		begins = time.monotonic()
		for _ in range(rounds(host, 2000, 150)):
			change_some(c, rng, busy, idle, inside, ever)
			c.send_on('vCont;c')
			if rng.random() < 0.3:
				time.sleep(rng.randrange(300) / 1e6)
			if rng.random() < 0.5 or not any(a in busy for _, a in inside):
				c.interrupt()
			stop = c.wait_stop()
			if stop.signal != 2:
				tap.check(stop.reason in BREAKS and stop.pc in busy and
					  any(a == stop.pc for _, a in inside), 'a hit: ' + stop.text)
				hits += 1
		tap.diag('%d hits, %d places, %.1f s' % (hits, len(ever), time.monotonic() - begins))
		tap.check(hits > rounds(host, 20, 3), '%d hits' % hits)
		same_code(c, host.guest('lab'))
		c.audit()
		if host.facts.get('connections', True):
			tap.equal(c.ask('D'), 'OK', 'detach')
			c.close()
			c = Counted(m.remote, 30 * host.patience)
			c.hello()
		else:
			for kind, a in inside:
				tap.equal(c.z('z' + kind, a), 'OK', 'z')
		clean(host, c, ever)
		finish(m, c, sym, 4)


# ---- clients that die ----

def prepare(c, rng, sym, host):
	"""A session in the midst of work. What the guest writes all the time may be watched, by protection or in a slot."""
	for name in ('crowd_all', 'crowd_0', 'crowd_1'):
		if rng.random() < 0.4:
			c.z('Z0', sym[name])
	if rng.random() < 0.4 and (host.facts['readonly_mem'] or host.facts['watch_write_slots']):
		c.ask('Z2,%x,8' % (sym['owns'] + 8 * rng.randrange(2)))
	if rng.random() < 0.3 and host.facts['readonly_mem']:
		c.ask('Z2,%x,40' % sym['crowd_calls'])         # too long for slots
	for _ in range(rng.randrange(6)):
		c.send_on(rng.choice(('vCont;c', 'vCont;s:1', 'vCont;s:2;c')))
		c.interrupt()
		if c.wait_stop().kind == 'W':
			return False
	return True


def die_somehow(c, rng, sym, spans):
	"""The last bytes of a client; it may be gone before or after they have an effect."""
	begin, size = spans['crowd_loop']
	last = rng.choice((b'$', b'$m2000', b'$vCont;c', b'$vCont;c#', frame('vCont;c'), frame('vCont;c') + b'\x03',
			   frame('vCont;s:1'), frame('vCont;s:1') * 30, frame('vCont;s:2;c') * 5,
			   frame('vCont;r%x,%x:1' % (begin, begin + size)), frame('vCont;%s:1;c' % ANYWHERE),
			   frame('vCont;%s:1' % ANYWHERE), frame('vCont;%s' % ANYWHERE),
			   frame('Z0,%x,1' % sym['crowd_0'])[:-rng.randrange(1, 4)], frame('m%x,4000' % sym['main']) * 20,
			   frame('vCont;c') + b'\x03' + frame('vCont;c') + frame('g') + b'\x03', b''))
	c.raw(last)
	if rng.random() < 0.7:
		time.sleep(rng.randrange(50000 if b'7fff' in last else 3000) / 1e6)


@scenario('clients die at random moments, the guest goes on and ends as if there had been none', 'breakpoints', 'step',
	  timeout=150)
def clients_die(host):
	rng = random.Random(4)
	cmdline = 'lab=crowd,%d,2' % rounds(host, 3000, 30000000)
	want = undisturbed(host, cmdline, 2)
	spans = table(host.guest('lab'))
	sym = symbols(host.guest('lab'))
	deaths = machines = 0
	begins = time.monotonic()
	while deaths < rounds(host, 120, 8):
		m = host.start('lab', cmdline, cpus=2)
		machines += 1
		for i in range(20 if host.patience == 1 else 8):
			if not m.alive():
				break
			try:
				with Counted(m.remote, 30 * host.patience) as c:
					c.come_after(host)
					clean(host, c, ())
					if i == 0:
						starts(m, c, sym)
					if not prepare(c, rng, sym, host):
						break
					die_somehow(c, rng, sym, spans)
				deaths += 1
			except (RspError, OSError) as err:      # it may end between two clients
				tap.equal((m.wait(), m.errors()), (want[0], ''), 'status and errors after "%s"' % err)
				break
		tap.equal((m.wait(60 * host.patience), m.serial()), want, 'end of the guest after %d deaths' % deaths)
	tap.diag('%d deaths, %d machines: %.1f s' % (deaths, machines, time.monotonic() - begins))


GDB_BUSY = ('continue', 'stepi 100000', 'next 10000', 'until')


@scenario('gdb is killed by SIGKILL while it continues, steps, watches; the guest ends as if it had never been',
	  'breakpoints', 'step', timeout=150)
def gdbs_die(host):
	rng = random.Random(5)
	cmdline = 'lab=crowd,%d,2' % rounds(host, 1500, 15000000)
	want = undisturbed(host, cmdline, 2)
	begins = time.monotonic()
	count = rounds(host, 8, 2)
	for i in range(count):
		m = host.start('lab', cmdline, cpus=2)
		busy = GDB_BUSY[i % len(GDB_BUSY)]
		with gdb(host) as g:
			g.connect(m.remote)
			g.cmd('break crowd_loop')
			g.run('continue')
			g.cmd('delete')
			g.cmd('break crowd_all if crowd_calls[0] == 123456789')  # stops and goes on all the time
			if i % 2 and (host.facts['readonly_mem'] or host.facts['watch_write_slots']):
				g.cmd('watch owns[0] if owns[0] == 123456789')
			if i % 4 > 1:
				g.cmd('disable')
			g.send_only(busy)
			time.sleep(rng.random() * 0.3)
			g.kill()
		tap.equal((m.wait(60 * host.patience), m.serial()), want, 'end of the guest after gdb died at ' + busy)
	tap.diag('%d of them: %.1f s' % (count, time.monotonic() - begins))


# ---- everything, and new machines ----

def mixed(c, rng, sym, spans):
	"""One resume of some kind, perhaps interrupted; its stop."""
	begin, size = spans['crowd_loop']
	span = '%x,%x' % (begin, begin + size)
	packet = rng.choice(('vCont;s:1;c', 'vCont;s:2;c', 'vCont;s:1', 'vCont;s:2', 'vCont;s', 'vCont;c',
			     'vCont;r%s:1;c' % span, 'vCont;r%s:2;c' % span, 'vCont;r%s:1' % span, 'vCont;r%s' % span,
			     'vCont;c:2', 's', 'c', 'vCont;%s:1;c' % ANYWHERE, 'vCont;%s' % ANYWHERE))
	c.send_on(packet)
	chance = rng.random()
	if chance < 0.4:
		time.sleep(rng.randrange(20000 if ANYWHERE in packet else 300) / 1e6)
	if chance < 0.8 or 'c' in packet[-3:] or 'r' in packet:
		c.interrupt()
	stop = c.wait_stop()
	tap.equal(stop.kind, 'T', 'stop of %s: %s' % (packet, stop.text))
	tap.check(stop.signal == 2 or stop.signal == 5, 'signal of %s: %s' % (packet, stop.text))
	if stop.reason in BREAKS:
		tap.check(stop.pc in (sym['crowd_1'], sym['crowd_all']), 'a hit: ' + stop.text)
	tap.equal(len(c.read(sym['owns'], 8)), 8, 'an answer to the next packet')
	return stop


@scenario('steps, range steps, Ctrl-C, hits of other CPUs, and restarts in the midst of it', 'breakpoints', 'step',
	  timeout=150)
def mixture(host):
	rng = random.Random(6)
	spans = table(host.guest('lab'))
	kinds = collections.Counter()
	ticks = 0
	begins = time.monotonic()
	with counted(host, 'lab=crowd,%d,2' % FOREVER, 2) as (m, c, sym):
		tap.equal(c.ask('!'), 'OK', 'extended mode')
		for life in range(rounds(host, 50, 5)):
			if life:
				if rng.random() < 0.5:
					c.send_on('vCont;c')
					c.interrupt()
					c.wait_stop()
				c.owed = False
				stop = c.resume('vRun;')
				tap.equal((stop.kind, stop.signal, hex(stop.pc)), ('T', 5, hex(sym['_start'])), 'vRun')
				tap.equal(c.read_int(sym['owns']), 0, 'calls in the new machine')
				for name in ('crowd_1', 'crowd_all'):
					c.z('z0', sym[name])
			starts(m, c, sym)
			c.plant(sym['crowd_1'])
			if life % 2:
				c.plant(sym['crowd_all'])
			for _ in range(rng.randrange(30)):
				stop = mixed(c, rng, sym, spans)
				kinds[stop.reason or stop.signal] += 1
			c.audit(0.01)
			ticks += c.read_int(sym['ticks'])
		tap.check(ticks > 0, 'there were interrupts')
		tap.diag('stops: %s, %.1f s' % (dict(kinds), time.monotonic() - begins))
		tap.diag('%d interrupts' % ticks)
		for name in ('crowd_1', 'crowd_all'):
			c.z('z0', sym[name])
		clean(host, c, [sym['crowd_1'], sym['crowd_all'], sym['smp_ready']])
		finish(m, c, sym, 2)
