"""Scenarios: how breakpoints are served: deferred, many at once, over code that the guest patches, gone without a trace."""

import random
import time

import tap
from elfsyms import code, symbols, table
from rsp import Rsp
from scene import BREAKS, ends, ends_in_gdb, ends_raw, gdb_session, hit, isa, raw_session, scenario


def how(c):
	"""{address: how} of `monitor info breakpoints`."""
	found = {}
	for line in c.monitor('info breakpoints').splitlines():
		address = [w for w in line.replace(',', ' ').split() if w.startswith('0x')]
		if address:
			found[int(address[0], 16)] = line
	return found


def same_code(c, path):
	sym = symbols(path)
	own = range(sym.get('ap_gdt', 0), sym.get('ap_end', 0))         # x86: variables among the code
	for address, data in code(path):
		found = b''.join(c.read(address + i, min(1024, len(data) - i)) for i in range(0, len(data), 1024))
		wrong = [hex(address + i) for i in range(len(data))
			 if found[i] != data[i] and address + i not in own]
		tap.equal(wrong, [], 'bytes of the code that are not as in the file')


# ---- deferred ----

@scenario('more breakpoints in code to come than there are slots: the others are pending, and planted in time',
	  'planted', 'hardware', 'step', arch='x86_64')
def deferred(host):
	with raw_session(host, guest='bz.bin', symbols_of='bz') as (m, c, sym):
		slots = host.facts['hw_break_slots']
		for i in range(slots):
			tap.equal(c.ask('Z0,%x,1' % (sym['bz_high'] + i)), 'OK', 'Z0 number %d' % i)
		tap.equal(c.ask('Z0,%x,1' % sym['bz_work']), 'OK', 'one more')
		tap.contains(how(c)[sym['bz_work']], 'pending', 'monitor info breakpoints')
		tap.contains(how(c)[sym['bz_high']], 'hardware', 'monitor info breakpoints')
		tap.equal(hex(c.resume().pc), hex(sym['bz_high']), 'pc: the first has a slot')
		for i in range(slots):
			tap.equal(c.ask('z0,%x,1' % (sym['bz_high'] + i)), 'OK', 'z0 number %d' % i)
		for n in (1, 2, 3):
			stop = c.resume()
			tap.equal((hex(stop.pc), c.reg('rdi')), (hex(sym['bz_work']), n), 'pc and argument')
			tap.contains(how(c)[sym['bz_work']], 'planted', 'monitor info breakpoints')
		tap.equal(c.ask('z0,%x,1' % sym['bz_work']), 'OK', 'z0')
		ends_raw(m, c, 'bz_calls=0x6013\nend\n')


@scenario('pending breakpoints are planted when the guest leaves to a device, without a stop', 'planted', 'hardware',
	  'step', arch='x86_64')
def planted_meanwhile(host):
	with raw_session(host, guest='bz.bin', symbols_of='bz') as (m, c, sym):
		for i in range(host.facts['hw_break_slots']):
			tap.equal(c.ask('Z1,%x,1' % (0x100 + i)), 'OK', 'Z1 number %d' % i)
		c.plant(sym['bz_work'])
		tap.contains(how(c)[sym['bz_work']], 'pending', 'monitor info breakpoints')
		stop = c.resume()       # it says many lines before it works
		tap.equal((hex(stop.pc), stop.reason), (hex(sym['bz_work']), 'swbreak'), 'stop')
		c.unplant(sym['bz_work'])
		ends_raw(m, c, 'bz_calls=0x6013\nend\n')


# ---- slots ----

@scenario('gdb shows why a hardware breakpoint is refused; a breakpoint that can be planted gives its slot up',
	  'planted', 'hardware')
def slots_and_reasons(host):
	with gdb_session(host, 'lab=calls,2') as (m, g):
		g.cmd('set breakpoint always-inserted on')
		names = ('shared alpha beta inner middle outer main say say_number tick smp_work smp_ready tick_loop spin_loop '
			 'scene_off scene_echo').split()[:host.facts['hw_break_slots']]
		for func in names:
			g.cmd('hbreak ' + func)
		g.cmd('break scene_calls')
		text = g.error('hbreak scene_sum')
		tap.contains(text + '\n'.join(g.log[-5:]), 'slots are in use', 'what gdb says')
		g.cmd('delete')
		ends_in_gdb(m, g)


@scenario('where the hardware cannot watch reads alone gdb takes a watchpoint for any access', 'hw_watch', 'breakpoints',
	  'step', arch='x86_64')
def no_read_watch(host):
	with gdb_session(host, 'lab=calls,2') as (m, g):
		tap.equal(g.cmd('maint packet Z3,%x,8' % g.address('betas')).split('received: ')[-1].strip(), '""', 'Z3')
		tap.equal(g.cmd('maint packet z3,%x,8' % g.address('betas')).split('received: ')[-1].strip(), '""', 'z3')
		g.cmd('rwatch betas')
		stop = g.run('continue')
		tap.contains(stop.reason, 'watchpoint-trigger', 'stop')
		g.cmd('delete')
		ends_in_gdb(m, g)


@scenario('a watchpoint of odd length and place reports the piece that was hit', 'watch', arch='x86_64')
def watched_piece(host):
	with raw_session(host, 'lab=calls,1') as (m, c, sym):
		betas = sym['betas']
		tap.equal(c.ask('Z2,%x,b' % (betas - 3)), 'OK', 'Z2 of 11 bytes, 3 below')
		stop = c.resume()
		tap.contains(stop.text, 'watch:%x;' % betas, 'the address told')
		tap.equal(c.ask('z2,%x,b' % (betas - 3)), 'OK', 'z2')
		ends_raw(m, c)


# ---- many, and their end ----

@scenario('600 breakpoints at once', 'planted', 'step')
def hundreds(host):
	with raw_session(host, 'lab=calls,3') as (m, c, sym):
		size = len(isa(host).nop)
		idle = [at for name, at in table(host.guest('lab')).items() if name.startswith(('scene_', 'smp_', 'info_')) and
			name != 'scene_calls']
		places = [a for at, length in idle for a in range(at, at + length, size)][:600]
		tap.equal(len(places), 600, 'instructions or bytes that are not executed')
		begins = time.monotonic()
		c.plant(sym['shared'])
		stop = c.resume()
		tap.equal(hex(stop.pc), hex(sym['shared']), 'pc')
		for a in places:
			tap.equal(c.z('Z0', a), 'OK', 'Z0')
		tap.diag('%d accepted after %.2f s' % (len(places), time.monotonic() - begins))
		begins = time.monotonic()
		for _ in range(100):
			c.resume('vCont;s:1')
		tap.diag('100 steps under them: %.1f ms' % ((time.monotonic() - begins) * 1000))
		same_code(c, host.guest('lab'))
		for a in places:
			tap.equal(c.z('z0', a), 'OK', 'z0')
		begins = time.monotonic()
		for _ in range(100):
			c.resume('vCont;s:1')
		tap.diag('100 steps without: %.1f ms' % ((time.monotonic() - begins) * 1000))
		c.unplant(sym['shared'])
		ends_raw(m, c, 'alphas 3\nbetas 3\n')


@scenario('breakpoints set and removed at random while two CPUs hit others; detached, the code is the file\'s',
	  'breakpoints', 'step', timeout=120)
def stress(host):
	rng = random.Random(11)
	m = host.start('lab', 'lab=smp,100000000,2', cpus=2)
	sym = symbols(host.guest('lab'))
	places = [sym[s] for s in ('smp_work', 'shared', 'say', 'tick', 'alpha', 'beta', 'inner', 'middle')]
	hits = 0
	with Rsp(m.remote, 30 * host.patience) as c:
		c.hello()
		inside = {sym['smp_work']}
		c.plant(sym['smp_work'])
		for _ in range(500 if not host.patience > 1 else 60):
			for _ in range(rng.randrange(3)):
				a = rng.choice(places)
				if a in inside:
					inside.discard(a)
					c.unplant(a)
				elif c.z('Z0', a) == 'OK':      # there may be only slots
					inside.add(a)
			c.send_on('vCont;c')
			if sym['smp_work'] not in inside or rng.random() < 0.2:
				c.interrupt()
			stop = c.wait_stop()
			tap.check(stop.signal == 2 or (stop.reason in BREAKS and stop.pc in places), 'stop: ' + stop.text)
			hits += stop.reason in BREAKS
		tap.check(hits > 10, '%d hits' % hits)
		same_code(c, host.guest('lab'))
		if not host.facts.get('connections', True):
			c.send('k')
			return ends(m, 14)
		tap.equal(c.ask('D'), 'OK', 'detach')
	with Rsp(m.remote, 30 * host.patience) as c:
		c.hello()
		same_code(c, host.guest('lab'))
		c.send('k')
	ends(m, 14)


# ---- code that the guest patches ----

@scenario('a breakpoint on code that the guest patches while another CPU executes it', 'breakpoints', 'step', 'own_break',
	  arch='x86_64', timeout=90)
def patched_code(host):
	with raw_session(host, 'lab=poke,1000000', cpus=2) as (m, c, sym):
		site = sym['poke_site']
		nop = bytes.fromhex('0f1f440000')
		call = b'\xe8' + (sym['poke_called'] - site - 5).to_bytes(4, 'little', signed=True)
		c.plant(site)
		seen = {}
		for i in range(3000):
			if i > 300 and len(seen) > 2:
				break
			c.send_on('vCont;c')
			if i % 3 == 0:
				time.sleep(0.002)
				c.interrupt()
			stop = c.wait_stop()
			tap.check(stop.signal == 2 or (stop.reason in BREAKS and stop.pc == site), 'stop: ' + stop.text)
			now = c.read(site, 5)
			# behind a breakpoint, which is the guest's, the rest may be in the middle of its change
			tap.check(now in (nop, call) or now[0] == 0xcc, 'never a mixture, not ' + now.hex())
			kind = {nop: 'nop', call: 'call'}.get(now, 'int3')
			seen[kind] = seen.get(kind, 0) + 1
		tap.diag('at the stops: %s' % seen)
		tap.check(len(seen) > 2, 'it was patched in between: %s' % seen)
		# the guest's first write changes nothing while ours is there: unplanted just then it would be undone
		while c.read_int(sym['poking']):
			c.resume()
		c.unplant(site)
		tap.equal(c.ask('M%x,1:01' % sym['stop']), 'OK', 'stop = 1')
		ends_raw(m, c, 'site=0x441f0f\ncalled=0x1\nstrays=0x0\npoked\n')
