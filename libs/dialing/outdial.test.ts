import { rulesOf } from '../../test/support/decider';
import { decideOutdial, evolveOutdial, NO_ID, type Outdial, type OutdialCommand, type OutdialEvent } from './outdial';

const { given, after } = rulesOf<Outdial, OutdialCommand, OutdialEvent>({ decide: decideOutdial, evolve: evolveOutdial });

const NOW = 1_651_110_100_000_000;
const outdialId = '40bea034-1d17-474d-a5de-da00d0861c69';
const CAMPAIGN = 'c0000000-0000-4000-8000-000000000000';
const create: OutdialCommand = {
  type: 'CreateOutdial',
  now: NOW,
  outdialId,
  customerId: 'customer',
  name: 'January Leads',
  detail: '',
  data: '',
  campaignId: NO_ID,
  outplanId: NO_ID,
};
const later = NOW + 1000;
const update = (changes: Extract<OutdialCommand, { type: 'UpdateOutdial' }>['changes']): OutdialCommand => ({
  type: 'UpdateOutdial',
  now: later,
  changes,
});
const attach: OutdialCommand = { type: 'AttachCampaign', now: later, campaignId: CAMPAIGN };
const pause: OutdialCommand = { type: 'PauseOutdial', now: later };
const resume: OutdialCommand = { type: 'ResumeOutdial', now: later };
const archive: OutdialCommand = { type: 'ArchiveOutdial', now: later };
const remove: OutdialCommand = { type: 'DeleteOutdial', now: later };

describe('A new outdial', () => {
  it('is active, attached to nothing, and never updated', () => {
    given([])
      .when(create)
      .then([{ type: 'OutdialCreated', tm: NOW, outdialId, name: 'January Leads' }])
      .thenState({ mode: 'active', campaignId: NO_ID, outplanId: NO_ID, tmCreate: NOW, tmUpdate: null, tmDelete: null });
  });
  it('cannot take the id of another one', () => {
    after([create]).when(create).thenRefused('ALREADY_EXISTS', { outdial_id: 'already exists' });
  });
  it('must exist before anything else can happen to it', () => {
    for (const command of [update({ name: 'x' }), attach, pause, resume, archive, remove])
      given([]).when(command).thenRefused('OUTDIAL_NOT_FOUND');
  });
});

describe('An update', () => {
  it('records only what changed', () => {
    after([create])
      .when(update({ name: 'January Leads', detail: 'Q1' }))
      .then([{ type: 'OutdialUpdated', tm: later, changes: { detail: 'Q1' } }])
      .thenState({ name: 'January Leads', detail: 'Q1', tmUpdate: later });
  });
  it('of equal values changes nothing', () => {
    after([create])
      .when(update({ name: 'January Leads', campaignId: NO_ID }))
      .then([]);
  });
  it('of equal values is no error even when the outdial is deleted or archived', () => {
    after([create, remove])
      .when(update({ name: 'January Leads' }))
      .then([]);
    after([create, archive])
      .when(update({ name: 'January Leads' }))
      .then([]);
  });
  it('of the campaign among others is an attachment of its own, one microsecond later', () => {
    after([create])
      .when(update({ name: 'February', campaignId: CAMPAIGN }))
      .then([
        { type: 'OutdialUpdated', tm: later, changes: { name: 'February' } },
        { type: 'CampaignAttached', tm: later + 1, campaignId: CAMPAIGN },
      ])
      .thenState({ name: 'February', campaignId: CAMPAIGN, tmLast: later + 1 });
  });
  it('attaches the same campaign only once', () => {
    after([create])
      .when(attach)
      .then([{ type: 'CampaignAttached', campaignId: CAMPAIGN }]);
    after([create, attach]).when(attach).then([]);
  });
});

describe('A paused outdial', () => {
  it('is paused once, however often it is asked for', () => {
    after([create])
      .when(pause)
      .then([{ type: 'OutdialPaused' }])
      .thenState({ mode: 'paused', tmUpdate: later });
    after([create, pause]).when(pause).then([]);
  });
  it('is resumed once', () => {
    after([create, pause])
      .when(resume)
      .then([{ type: 'OutdialResumed' }])
      .thenState({ mode: 'active' });
    after([create]).when(resume).then([]);
  });
  it('can still be updated and archived', () => {
    after([create, pause])
      .when(update({ name: 'x' }))
      .then([{ type: 'OutdialUpdated' }]);
    after([create, pause])
      .when(archive)
      .then([{ type: 'OutdialArchived' }])
      .thenState({ mode: 'archived' });
  });
});

describe('An archived outdial', () => {
  it('changes only its data and detail', () => {
    after([create, archive])
      .when(update({ data: 'kept until 2030', detail: 'done' }))
      .then([{ type: 'OutdialUpdated', changes: { data: 'kept until 2030', detail: 'done' } }]);
    after([create, archive])
      .when(update({ data: 'kept', name: 'other', outplanId: CAMPAIGN }))
      .thenRefused('ARCHIVED', { name: 'cannot change when archived', outplan_id: 'cannot change when archived' });
    after([create, archive]).when(attach).thenRefused('ARCHIVED', { campaign_id: 'cannot change when archived' });
  });
  it('is archived for good', () => {
    after([create, archive]).when(archive).then([]);
    after([create, archive]).when(pause).thenRefused('ARCHIVED');
    after([create, archive]).when(resume).thenRefused('ARCHIVED');
  });
  it('can be deleted', () => {
    after([create, archive])
      .when(remove)
      .then([{ type: 'OutdialDeleted' }]);
  });
});

describe('A deleted outdial', () => {
  it('is deleted once', () => {
    after([create])
      .when(remove)
      .then([{ type: 'OutdialDeleted' }])
      .thenState({ tmDelete: later, tmUpdate: later });
    after([create, remove]).when(remove).then([]);
  });
  it('refuses every change', () => {
    for (const command of [update({ data: 'x' }), attach, pause, resume, archive])
      after([create, remove]).when(command).thenRefused('DELETED');
    after([create, pause, remove]).when(pause).thenRefused('DELETED');
  });
});

describe('The time of an event', () => {
  it('is one microsecond after its predecessor when the clock is not later', () => {
    after([create, { ...pause, now: NOW + 10 }])
      .when({ ...resume, now: NOW + 10 })
      .then([{ type: 'OutdialResumed', tm: NOW + 11 }]);
    after([create, { ...pause, now: NOW + 10 }])
      .when({ ...resume, now: NOW - 5_000_000 })
      .then([{ type: 'OutdialResumed', tm: NOW + 11 }]);
  });
});

describe('A stream that lacks its beginning', () => {
  it('still folds', () => {
    expect(evolveOutdial(null, { type: 'OutdialPaused', tm: NOW, outdialId })).toMatchObject({
      id: outdialId,
      mode: 'paused',
      tmCreate: NOW,
    });
  });
});
