-- The names of today in the records of earlier gateways: codes and faults of problems, the builder of an image, options.
-- Inside a text of JSON a quote is escaped, so `"fault":"` is always a field.
UPDATE deployments SET body = replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(body,
  '"fault":"ours"', '"fault":"gateway"'),
  '"code":"app-foreign"', '"code":"app-not-managed"'),
  '"/problems/app-foreign"', '"/problems/app-not-managed"'),
  '"code":"record-behind"', '"code":"record-outdated"'),
  '"/problems/record-behind"', '"/problems/record-outdated"'),
  '"code":"strategy-unfit"', '"code":"strategy-not-applicable"'),
  '"/problems/strategy-unfit"', '"/problems/strategy-not-applicable"'),
  '"code":"deploy-stuck"', '"code":"rollback-failed"'),
  '"/problems/deploy-stuck"', '"/problems/rollback-failed"'),
  '"code":"plan-none"', '"code":"no-builder-found"'),
  '"/problems/plan-none"', '"/problems/no-builder-found"'),
  '"code":"nothing-built"', '"code":"no-image"'),
  '"/problems/nothing-built"', '"/problems/no-image"'),
  '"code":"volume-held"', '"code":"volume-locked"'),
  '"/problems/volume-held"', '"/problems/volume-locked"'),
  '"code":"records-unusable"', '"code":"database-unusable"'),
  '"/problems/records-unusable"', '"/problems/database-unusable"'),
  '"code":"too-late"', '"code":"cancel-too-late"'),
  '"/problems/too-late"', '"/problems/cancel-too-late"')
  WHERE instr(body, '"fault":"') > 0;
UPDATE deployments SET rollout = replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(rollout,
  '"fault":"ours"', '"fault":"gateway"'),
  '"code":"app-foreign"', '"code":"app-not-managed"'),
  '"/problems/app-foreign"', '"/problems/app-not-managed"'),
  '"code":"record-behind"', '"code":"record-outdated"'),
  '"/problems/record-behind"', '"/problems/record-outdated"'),
  '"code":"strategy-unfit"', '"code":"strategy-not-applicable"'),
  '"/problems/strategy-unfit"', '"/problems/strategy-not-applicable"'),
  '"code":"deploy-stuck"', '"code":"rollback-failed"'),
  '"/problems/deploy-stuck"', '"/problems/rollback-failed"'),
  '"code":"plan-none"', '"code":"no-builder-found"'),
  '"/problems/plan-none"', '"/problems/no-builder-found"'),
  '"code":"nothing-built"', '"code":"no-image"'),
  '"/problems/nothing-built"', '"/problems/no-image"'),
  '"code":"volume-held"', '"code":"volume-locked"'),
  '"/problems/volume-held"', '"/problems/volume-locked"'),
  '"code":"records-unusable"', '"code":"database-unusable"'),
  '"/problems/records-unusable"', '"/problems/database-unusable"'),
  '"code":"too-late"', '"code":"cancel-too-late"'),
  '"/problems/too-late"', '"/problems/cancel-too-late"')
  WHERE instr(rollout, '"fault":"') > 0;
UPDATE events SET body = replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(body,
  '"fault":"ours"', '"fault":"gateway"'),
  '"code":"app-foreign"', '"code":"app-not-managed"'),
  '"/problems/app-foreign"', '"/problems/app-not-managed"'),
  '"code":"record-behind"', '"code":"record-outdated"'),
  '"/problems/record-behind"', '"/problems/record-outdated"'),
  '"code":"strategy-unfit"', '"code":"strategy-not-applicable"'),
  '"/problems/strategy-unfit"', '"/problems/strategy-not-applicable"'),
  '"code":"deploy-stuck"', '"code":"rollback-failed"'),
  '"/problems/deploy-stuck"', '"/problems/rollback-failed"'),
  '"code":"plan-none"', '"code":"no-builder-found"'),
  '"/problems/plan-none"', '"/problems/no-builder-found"'),
  '"code":"nothing-built"', '"code":"no-image"'),
  '"/problems/nothing-built"', '"/problems/no-image"'),
  '"code":"volume-held"', '"code":"volume-locked"'),
  '"/problems/volume-held"', '"/problems/volume-locked"'),
  '"code":"records-unusable"', '"code":"database-unusable"'),
  '"/problems/records-unusable"', '"/problems/database-unusable"'),
  '"code":"too-late"', '"code":"cancel-too-late"'),
  '"/problems/too-late"', '"/problems/cancel-too-late"')
  WHERE instr(body, '"fault":"') > 0;
UPDATE rollouts SET body = replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(body,
  '"fault":"ours"', '"fault":"gateway"'),
  '"code":"app-foreign"', '"code":"app-not-managed"'),
  '"/problems/app-foreign"', '"/problems/app-not-managed"'),
  '"code":"record-behind"', '"code":"record-outdated"'),
  '"/problems/record-behind"', '"/problems/record-outdated"'),
  '"code":"strategy-unfit"', '"code":"strategy-not-applicable"'),
  '"/problems/strategy-unfit"', '"/problems/strategy-not-applicable"'),
  '"code":"deploy-stuck"', '"code":"rollback-failed"'),
  '"/problems/deploy-stuck"', '"/problems/rollback-failed"'),
  '"code":"plan-none"', '"code":"no-builder-found"'),
  '"/problems/plan-none"', '"/problems/no-builder-found"'),
  '"code":"nothing-built"', '"code":"no-image"'),
  '"/problems/nothing-built"', '"/problems/no-image"'),
  '"code":"volume-held"', '"code":"volume-locked"'),
  '"/problems/volume-held"', '"/problems/volume-locked"'),
  '"code":"records-unusable"', '"code":"database-unusable"'),
  '"/problems/records-unusable"', '"/problems/database-unusable"'),
  '"code":"too-late"', '"code":"cancel-too-late"'),
  '"/problems/too-late"', '"/problems/cancel-too-late"')
  WHERE instr(body, '"fault":"') > 0;
UPDATE rollout_refusals SET problem = replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(problem,
  '"fault":"ours"', '"fault":"gateway"'),
  '"code":"app-foreign"', '"code":"app-not-managed"'),
  '"/problems/app-foreign"', '"/problems/app-not-managed"'),
  '"code":"record-behind"', '"code":"record-outdated"'),
  '"/problems/record-behind"', '"/problems/record-outdated"'),
  '"code":"strategy-unfit"', '"code":"strategy-not-applicable"'),
  '"/problems/strategy-unfit"', '"/problems/strategy-not-applicable"'),
  '"code":"deploy-stuck"', '"code":"rollback-failed"'),
  '"/problems/deploy-stuck"', '"/problems/rollback-failed"'),
  '"code":"plan-none"', '"code":"no-builder-found"'),
  '"/problems/plan-none"', '"/problems/no-builder-found"'),
  '"code":"nothing-built"', '"code":"no-image"'),
  '"/problems/nothing-built"', '"/problems/no-image"'),
  '"code":"volume-held"', '"code":"volume-locked"'),
  '"/problems/volume-held"', '"/problems/volume-locked"'),
  '"code":"records-unusable"', '"code":"database-unusable"'),
  '"/problems/records-unusable"', '"/problems/database-unusable"'),
  '"code":"too-late"', '"code":"cancel-too-late"'),
  '"/problems/too-late"', '"/problems/cancel-too-late"')
  WHERE instr(problem, '"fault":"') > 0;

UPDATE deployments SET body = json_remove(json_set(body, '$.options."force-over"', body -> '$.options.over'), '$.options.over')
  WHERE json_valid(body) AND json_type(body, '$.options.over') IS NOT NULL;
UPDATE deployments SET body = json_remove(json_set(body, '$.plan.builder', body ->> '$.plan.way'), '$.plan.way')
  WHERE json_valid(body) AND body ->> '$.plan.way' IS NOT NULL;
UPDATE deployments SET body = json_remove(json_set(body, '$.image.builder', body ->> '$.image.way'), '$.image.way')
  WHERE json_valid(body) AND body ->> '$.image.way' IS NOT NULL;
UPDATE releases SET body = json_remove(json_set(body, '$.image.builder', body ->> '$.image.way'), '$.image.way')
  WHERE json_valid(body) AND body ->> '$.image.way' IS NOT NULL;
UPDATE events SET body = json_remove(json_set(body, '$.builder', body ->> '$.way'), '$.way')
  WHERE instr(body, '"way":"') > 0 AND json_valid(body) AND body ->> '$.type' = 'plan' AND body ->> '$.way' IS NOT NULL;
UPDATE rollouts SET body = json_remove(json_set(body, '$.maxFailures', body -> '$.stopAfter'), '$.stopAfter')
  WHERE json_valid(body) AND json_type(body, '$.stopAfter') IS NOT NULL;
UPDATE rollouts SET body = json_set(body, '$.targets', (
    SELECT json_group_array(json(iif(json_type(value, '$.options.over') IS NULL, value,
      json_remove(json_set(value, '$.options."force-over"', value -> '$.options.over'), '$.options.over'))))
    FROM json_each(body, '$.targets')))
  WHERE json_valid(body) AND json_type(body, '$.targets[0].options') IS NOT NULL;
