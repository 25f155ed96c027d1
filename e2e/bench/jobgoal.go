package main

// jobGoals are what whole jobs, and actions beside them, have to come to.
func (b *bench) jobGoals() *goals {
	rows := []goal{
		{bareRunning, nil},
		{jobPrepared, []bound{{1, bareRunning, 0.3}}},
		{forkTrue, nil},
		{execTrue, nil},
		{execProcess, nil},
		{stepTrue, []bound{{1, forkTrue, 0.015}, {1.0 / 50, execProcess, 0}}},
		{fork50, nil},
		{step50, []bound{{1 / 0.8, fork50, 0}}},
		{readyEnd, nil},
		{kilnReady, []bound{{1, readyEnd, 0.25}}},
		{kilnReused, nil},
		{kilnAhead, []bound{{1.1, kilnReused, 0}}},
	}
	made := newGoals("whole jobs, s", rows...)
	for _, r := range rows {
		for _, took := range b.times[r.name] {
			made.add(r.name, took.Seconds())
		}
	}
	return made
}
