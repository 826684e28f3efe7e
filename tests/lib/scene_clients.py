"""Scenarios: Ctrl-C, clients that come, go, die and talk nonsense."""

import tap
from rsp import Rsp, RspError, frame
from scene import ends, ends_in_gdb, gdb, gdb_session, hit, isa, raw_session, scenario


# ---- Ctrl-C, coming and going ----

@scenario('Ctrl-C while it runs, many times', 'step')
def interrupts(host):
	with gdb_session(host, 'lab=spin,2', cpus=2) as (m, g):
		g.resume('continue')
		m.wait_serial('spinning')
		turns = -1
		for _ in range(10):
			g.interrupt()
			stop = g.wait_stop()
			tap.equal(stop.signal, 'SIGINT', 'signal')
			tap.equal(stop.func, 'spin_loop', 'function')
			now = g.int('turns')
			tap.check(now > turns, 'it ran in between: %d, %d' % (turns, now))
			turns = now
			g.resume('continue')
			tap.check(g.quiet(0.02), 'no stop that nobody asked for')
		g.interrupt()
		g.wait_stop()
		g.cmd('set var stop = 1')
		ends_in_gdb(m, g, serial='spun\n')


@scenario('Ctrl-C in the middle of a thousand steps', 'step')
def interrupt_steps(host):
	with gdb_session(host, 'lab=spin') as (m, g):
		g.resume('continue')
		m.wait_serial('spinning')
		g.interrupt()
		g.wait_stop()
		g.resume('stepi 1000000')
		tap.check(g.quiet(0.3), 'it steps')
		g.interrupt()
		tap.equal(g.wait_stop().signal, 'SIGINT', 'signal')
		g.cmd('set var stop = 1')
		ends_in_gdb(m, g, serial='spun\n')
	with raw_session(host, 'lab=spin') as (m, c, sym):
		# 0x03 in the same breath as the step: one stop, be it the step's or the interrupt's
		for i in range(200):
			c.raw(frame('vCont;s:1') + b'\x03' * (i % 3))
			tap.check(c.wait_stop().signal in (2, 5), 'signal')
			tap.equal(len(c.read(sym['turns'], 8)), 8, 'an answer to the next packet')
		c.send('k')
		ends(m, 14)


@scenario('detach and attach again, five times; the guest runs in between without breakpoints', 'breakpoints', 'step')
def reattach(host):
	m = host.start('lab', 'lab=spin', attach=True)
	m.wait_serial('spinning')
	turns = 0
	for i in range(5):
		with gdb(host) as g:
			stop = g.connect(m.remote)
			tap.equal(stop.func, 'spin_loop', 'function at attach')
			now = g.int('turns')
			tap.check(now > turns, 'it ran while nobody was there: %d, %d' % (turns, now))
			turns = now
			g.cmd('break spin_loop')
			g.cmd('break *%#x' % g.pc())
			g.run('stepi')
			if i % 2:
				g.cmd('detach')
			else:
				g.mi('-gdb-exit')
				g.process.wait(30)
	with gdb(host) as g:
		g.connect(m.remote)
		tap.check(g.int('turns') > turns, 'it ran after the last detach')
		tap.contains(g.cmd('monitor info breakpoints'), 'no breakpoints', 'monitor info breakpoints')
		g.cmd('set var stop = 1')
		ends_in_gdb(m, g, serial='spun\n')


@scenario('gdb is killed while the guest runs: it goes on, without breakpoints', 'breakpoints', 'step')
def gdb_dies_running(host):
	m = host.start('lab', 'lab=calls,30000')
	with gdb(host) as g:
		g.connect(m.remote)
		g.cmd('break shared if i == 123456')    # gdb's own condition: stops and goes on all the time
		g.cmd('break beta')
		hit(g, 'beta')
		g.cmd('delete 2')
		g.resume('continue')
		g.quiet(0.3)
		g.kill()
	ends(m, serial='alphas 30000\nbetas 30000\n')


@scenario('gdb is killed while the guest is stopped: it goes on, without breakpoints', 'breakpoints', 'step')
def gdb_dies_stopped(host):
	m = host.start('lab', 'lab=calls,50')
	with gdb(host) as g:
		g.connect(m.remote)
		g.cmd('break shared')
		hit(g, 'shared')
		hit(g, 'shared')
		g.kill()
	ends(m, serial='alphas 50\nbetas 50\n')


@scenario('a second client is refused and the first one goes on', 'connections')
def second_client(host):
	with raw_session(host, 'lab=off') as (m, c, _):
		for _ in range(3):
			with Rsp(m.remote) as other:
				try:
					other.raw(b'$?#3f')
					other.take(5)
				except OSError:
					pass
				tap.check(other.closed(20), 'the second client is hung up on')
		tap.equal(c.ask('qC')[:2], 'QC', 'the first one is answered')
		tap.equal(c.resume().kind, 'W', 'stop')
		ends(m)


@scenario('kill ends the machine', timeout=30)
def kill(host):
	with gdb_session(host, 'lab=spin') as (m, g):
		g.cmd('kill')
		ends(m, 14)
	with raw_session(host, 'lab=spin') as (m, c, _):
		tap.equal(c.ask('vKill;1'), 'OK', 'vKill')
		ends(m, 14)


@scenario('a client dies in the middle of a packet; the next one is served')
def half_packet(host):
	m = host.start('lab', 'lab=spin')
	for part in (b'$', b'$m2000', b'$m200000,10#', b'$m200000,10#5', b'$X200000,40:\x7d', b'\x03\x03$', b'garbage'):
		with Rsp(m.remote) as c:
			c.raw(part)
	with Rsp(m.remote) as c:
		c.hello()
		c.raw(b'$vCont;c')
	with Rsp(m.remote) as c:
		c.hello()
		c.resume('vCont;s:1')
		c.send('k')
		ends(m, 14)


@scenario('malformed packets leave the session alive')
def malformed(host):
	with raw_session(host, 'lab=off') as (m, c, sym):
		for packet in ('m', 'm,', 'mzz,4', 'm0', 'm0,', 'm0,ffffffffffffffff', 'mffffffffffffffff,ffffffffffffffff',
			       'M0,4:', 'M0,4:zz', 'M0,ffffffffffffffff:00', 'X0,ffffffffffffff:', 'x0,ffffffffffffffff',
			       'p', 'pffffffff', 'pzz', 'P', 'P0', 'P0=', 'P0=zz', 'Pffffffff=00', 'G', 'G00', 'Gzz',
			       'Hg', 'Hgffff', 'Hc-2', 'Hx1', 'Tffff', 'T', 'Z', 'Z0', 'Z0,', 'Z0,0', 'Z9,0,1', 'Z0,0,ffffffffff',
			       'z0,123456,1', 'vCont', 'vCont;', 'vCont;q', 'vCont;s:ffff', 'vCont;r1', 'vCont;C', 'vCont;c:-5',
			       'qXfer:features:read:', 'qXfer:features:read:target.xml:ffffffffffff,10',
			       'qXfer:features:read:nothing.xml:0,100', 'qXfer:threads:read::0', 'qRcmd', 'qRcmd,zz', 'qRcmd,6',
			       'qRcmd,' + '41' * 4000, 'qThreadExtraInfo,ffff', 'qThreadExtraInfo', 'unknown', '', 'vRun;', 'vRun;z', 'vAttach;1',
			       'R00', 'vFile:open:', 'vKill;z', 'QNonStop:2', 'QPassSignals:z', 'QSetWorkingDir:z',
			       '\x00\x01\x02', 'q' * 3000):
			c.send(packet)
			tap.check(c.take() is not None, 'an answer to %r' % packet[:60])
		tap.equal(c.ask('qC')[:2], 'QC', 'an answer to qC')
		c.plant(sym['main'])
		c.unplant(sym['main'])
		tap.equal(c.resume().kind, 'W', 'stop')
		ends(m)


@scenario('bad checksums are asked for again, an endless packet ends nothing')
def bad_frames(host):
	m = host.start('lab', 'lab=off')
	with Rsp(m.remote) as c:
		c.raw(b'$qC#00')
		try:
			c.take()
		except RspError as e:
			tap.contains(str(e), 'retransmission', 'answer to a bad checksum')
		else:
			tap.fail('a bad checksum is not answered with -')
		c.hello()
		c.raw(b'$' + b'a' * 400000 + b'#00')
		c.raw(b'$' + b'q' * 300000)
		c.send('qC')
		answers = [c.reply()]
		while len(answers) < 4 and answers[-1][:1] == 'E':
			answers.append(c.reply())
		tap.equal(answers[-1][:2], 'QC', 'an answer after an endless packet')
		tap.equal(c.resume().kind, 'W', 'stop')
		ends(m)


@scenario('the guest powers off while packets are in flight')
def power_off_in_flight(host):
	for count in (1, 20):
		with raw_session(host, 'lab=off') as (m, c, sym):
			c.raw(frame('vCont;c') + frame('m%x,40' % sym['main']) * count + b'\x03')
			stop = c.wait_stop()
			if stop.kind == 'T':            # the interrupt was faster
				for _ in range(count):
					tap.equal(len(c.reply()), 128, 'length of an answer')
				stop = c.resume()
			tap.equal((stop.kind, stop.signal), ('W', 0), 'stop')
			if host.facts.get('connections', True):
				tap.check(c.closed(), 'the line is closed')
			ends(m)


@scenario('monitor commands')
def monitor(host):
	with gdb_session(host, 'lab=off', cpus=2) as (m, g):
		text = g.cmd('monitor help')
		for word in ('info registers', 'info cpus', 'xp', 'gva2gpa', 'quit'):
			tap.contains(text, word, 'monitor help')
		tap.contains(g.cmd('monitor info version'), 'minivmm', 'monitor info version')
		text = g.cmd('monitor info cpus')
		tap.contains(text, '* CPU 0', 'monitor info cpus')
		tap.contains(text, 'CPU 1', 'monitor info cpus')
		tap.contains(g.cmd('monitor info registers'), '%s=%016x' % (isa(host).pc.upper(), g.pc()), 'monitor info registers')
		tap.contains(g.cmd('monitor info registers -a'), 'CPU#1', 'monitor info registers -a')
		word = g.int('*(unsigned *)&_start')
		tap.contains(g.cmd('monitor xp /1xw %#x' % g.pc()), '0x%08x' % word, 'monitor xp')
		tap.contains(g.cmd('monitor gva2gpa %#x' % g.pc()), '%#x' % g.pc(), 'monitor gva2gpa')
		tap.contains(g.cmd('monitor gva2gpa 0x500000000000'), 'nmapped', 'monitor gva2gpa of nothing')
		tap.contains(g.cmd('monitor nonsense'), 'unknown command', 'an unknown one')
		tap.contains(g.cmd('monitor info fault'), 'none', 'monitor info fault')
		ends_in_gdb(m, g)


@scenario('monitor quit ends the machine', timeout=30)
def monitor_quit(host):
	with raw_session(host, 'lab=spin') as (m, c, _):
		c.send('qRcmd,' + b'quit'.hex())
		ends(m, 14)
