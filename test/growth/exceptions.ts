/**
 * Parsers without a growth test, by `FILE › NAME`, by file (all its exports) or by folder, with the
 * reason. Their input is not a stranger's, or an earlier limit keeps it short.
 */
export const exceptions: Record<string, string> = {
  'client/src/': 'runs on the machine of its user, for this user alone, and never in the gateway',
  'gateway/src/http/dashboard/assets/':
    'runs in the browser of its reader; what it shares with the gateway has rows',
  'gateway/src/config.ts': 'the operator sets it',
  'gateway/src/doctor/': 'reads what this machine, its kernel and Fly say, when the operator asks',
  'gateway/src/http/body/received.ts › receive':
    'looks for one name in a header of 16 KiB at most; its digest is read by DigestCheck, which has its row',
  'gateway/src/http/routes/doctor.ts › examineGateway':
    'reads by jsonObject, which has its row, and three fields of it',
  'gateway/src/http/dashboard/parts/assets.ts':
    'reads files of the product itself, once; a name of an asset is looked up in a map',
  'gateway/src/http/dashboard/open-dashboard.ts › openDashboard':
    'looks at the path of a request by one anchored expression',
  'gateway/src/http/dashboard/actions/':
    'reads names, a number and a key of an address of 16 KiB or a form of 64 KiB, by anchored expressions',
  'gateway/src/http/dashboard/edit/':
    'reads names, numbers and values of a form of 64 KiB at most, by anchored expressions',
  'gateway/src/http/dashboard/forms/':
    'writes back fields of a form of 64 KiB at most, and reads an address of 16 KiB by its parts',
  'gateway/src/http/dashboard/owners/':
    'reads names and words of an address of 16 KiB or a form of 64 KiB, by anchored expressions',
  'gateway/src/http/dashboard/callers/new-rule-form.ts › addRule':
    'splits a form of 64 KiB at most into lines; readRule has its row',
  'gateway/src/http/dashboard/callers/quotas-part.ts › changeQuotas':
    'reads numbers of a form of 64 KiB at most, by one anchored expression',
  'gateway/src/http/dashboard/app/app-page.ts › appPage':
    'reads names of the address, 16 KiB at most, by linear expressions; its parts have their rows',
  'gateway/src/http/dashboard/app/release-diff-page.ts › releaseDiffPage':
    'reads numbers of the address by one anchored expression',
  'gateway/src/http/dashboard/drift/drift-page.ts › acceptForm':
    'reads the beginning of codes that the gateway itself has given',
  'gateway/src/http/dashboard/drift/drift-page.ts › driftPage':
    'reads the name of an app, of an address of 16 KiB at most, by AppName',
  'gateway/src/http/dashboard/previews/preview-actions.ts':
    'reads a number and one of three words of a form of 64 KiB at most',
  'gateway/src/http/dashboard/queue/drain-part.ts › startDrain':
    'reads a number of a form of 64 KiB at most by one anchored expression',
  'gateway/src/http/dashboard/rollouts/rollouts-page.ts › rolloutsPage':
    'reads the cursor of an address of 16 KiB at most by one anchored expression',
  'gateway/src/http/routes/callers/audit.ts › listAudit':
    'reads a query of 16 KiB at most, by readAuditFilter',
  'gateway/src/http/routes/callers/audit.ts › readAuditFilter':
    'reads options of 300 characters at most, by linear expressions',
  'gateway/src/deployments/previews/preview-names.ts':
    'the name of an app, 63 characters at most, by linear expressions',
  'api/previews/template.ts':
    'a name of 40 characters and 50 ports at most, by linear expressions; a config of 64 Ki characters, as text',
  'gateway/src/deploy/preflight/limit-egress.ts › limitEgress':
    'reads the ports of a template, and the policies of an app that the gateway has made',
  'gateway/src/commands/templates/open-templates.ts':
    'reads a name of 100 characters at most, by linear expressions; a config by readFlyConfig, which has its row',
  'api/status/prices.ts › PriceTable': 'the operator sets it',
  'api/callers/issuers.ts': 'an administrator names an issuer, 300 characters at most',
  'api/callers/rule.ts › NewRule': 'reads as readRule, which has its row',
  'api/callers/rule.ts › Rule': 'reads what the gateway itself has written',
  'api/callers/rule.ts › ListedRule': 'reads by Rule and one text more',
  'gateway/src/callers/oidc/read-issuer.ts › readIssuer':
    'reads 256 KiB of an issuer that an administrator names, by JSON.parse',
  'gateway/src/callers/proxies/trusted-proxies.ts › sourceBehind':
    'reads by lastOf, which has its row',
  'gateway/src/callers/proxies/trusted-proxies.ts › trustedProxies':
    'the operator sets the ranges; plainAddress has its row',
  'api/doctor/render.ts › renderFindings':
    'renders what our own probes found, by visible, which has its row',
  'gateway/src/settings/': 'the operator sets it',
  'api/flow/crash-point.ts': 'tests set it',
  'gateway/src/store/': 'reads what the gateway itself has written; the writers have their limits',
  'gateway/src/mirror/answer-text.ts › answerText':
    'reads 16 KiB of an answer of the mirror at most, by linear expressions',
  'gateway/src/mirror/forward.ts › forward':
    'reads the path and headers of a request of our own build daemon, 16 KiB at most',
  'gateway/src/mirror/mirror-failure.ts › mirrorFailure': 'reads the code of an error of Node',
  'gateway/src/kept-images/image-watch.ts › ImageWatch':
    'reads what the gateway itself has written, and answers of the registry by Registry',
  'gateway/src/registry/image-layers.ts › readLayers':
    'reads manifests by imageParts, and 1 MiB of a configuration at most by madeByOf, which have rows',
  'gateway/src/privileged/': 'reads what the gateway’s own processes send, by schemas',
  'api/registries/registry.ts › readTestRequest': 'reads as readNewRegistry, which has its row',
  'gateway/src/commands/registries/open-registries.ts › openRegistries':
    'reads an image of 1,024 characters at most, by imageName and a linear expression',
  'gateway/src/registry/login-check.ts › checkLogin':
    'reads headers of 16 KiB and 10,000 characters of an answer at most, by linear expressions',
  'gateway/src/registry/public-agent.ts':
    'reads the name of a registry, 500 characters at most, by linear expressions',
  'gateway/src/registry/plain-http.ts': 'reads the name of a registry, 1,024 characters at most',
  'gateway/src/versions/':
    'reads what programs, npm and files of the image say, not what a stranger says',
  'api/image/pins.ts': 'reads the Dockerfile and the pins of this repository',
  'gateway/src/railpack/plan-variables.ts › plannerReads':
    'the expression of planVariables, which has its row',
  'gateway/src/sbom/': 'reads what dpkg and npm have written on this machine',
  'gateway/src/deployments/packed-json.ts › unpackJson':
    'reads what the gateway itself has written',
  'gateway/src/buildkit/cache/users-file.ts › readUsers':
    'reads what the gateway itself has written',
  'gateway/src/host/tree-manifest.ts › readManifest': 'reads what the gateway itself has written',
  'gateway/src/deployments/states.ts › clears':
    'reads the name of a state, which is a constant of ours',
  'gateway/src/http/body/request-form.ts › checkForm':
    'reads one header of a request, 16 KiB at most',
  'gateway/src/http/request-admission.ts › requestAdmission':
    'reads the path of a request, 16 KiB at most',
  'gateway/src/commands/teams/open-teams.ts › openTeams':
    'reads names by TeamName, MemberName and AppName, which have their rows',
  'gateway/src/http/upgrades.ts › Upgrades': 'reads headers of a request, 16 KiB at most',
  'gateway/src/buildkit/daemon/step-limits.ts': 'reads control groups of this machine',
  'gateway/src/buildkit/daemon/step-probe.ts': 'reads the output of a script of ours',
  'gateway/src/buildkit/steps/step.ts › newStep':
    'reads names of steps by Progress, which has its row',
  'gateway/src/buildkit/steps/step-records.ts': 'reads records that our own wrapper of runc writes',
  'gateway/src/buildkit/steps/step-watch.ts': 'reads control groups of this machine',
  'gateway/src/buildkit/daemon/step-writes.ts': 'reads control groups of this machine',
  'gateway/src/buildkit/steps/step-failures.ts': 'reads a message of 2,000 characters at most',
  'gateway/src/buildkit/failures.ts › failedStep':
    'reads the details of a failed call as solveProblem does, which has its row',
  'gateway/src/railpack/classify-failure.ts › classifyFailure':
    'reads what the planner prints, which planLimits bounds, by linear expressions from its start',
  'gateway/src/buildkit/build-policy.ts › BuildPolicy':
    'reads names of images as the build daemon asks for them; ImagePolicy has its row',
  'gateway/src/registry/image-access.ts': 'reads names of images, by imageName, which has its row',
  'gateway/src/registry/image-parts.ts':
    'JSON.parse of a manifest of 8 MiB at most, which is linear',
  'gateway/src/commands/existing-image.ts › appOfImage':
    'reads by parseReference, which has its row',
  'gateway/src/registry/copy/find-image.ts › findImage':
    'JSON.parse of a manifest and a configuration of 4 MiB at most, which is linear',
  'gateway/src/registry/copy/session.ts › RegistrySession':
    'reads headers of 16 KiB at most, by linear expressions; saidIn has its row',
  'gateway/src/host/':
    'reads what the kernel and tools of the operator say, not what a stranger says',
  'fly/': 'reads what Fly answers, 32 MiB at most; its regular expressions are linear',
  'gateway/src/registry/docker-config.ts': 'the operator writes it',
  'gateway/src/registry/registry.ts':
    'reads headers of the registry, 16 KiB at most; its regular expressions are linear',
  'gateway/src/registry/token-request.ts':
    'reads a header of 16 KiB at most, by a linear expression, and JSON of 8 MiB at most',
  'gateway/src/registry/image-index.ts › imageIndex':
    'splits the name of a platform, which is checked before',
  'gateway/src/isolation/':
    'reads addresses of this machine, what its tools say, and the output of a script of ours',
  'gateway/src/buildkit/daemon/containers.ts': 'reads the mounts and containers of this machine',
  'gateway/src/buildkit/context/context-server.ts › ContextServer':
    'reads one header of the build daemon; its work is filterEntries and tarHeader, which have their rows',
  'gateway/src/buildkit/context/large-files.ts › largeFiles':
    'looks at names of 1,024 bytes at most; its work is filterEntries, which has its row',
  'gateway/src/llb/graph.ts': 'looks among the inputs of one operation, three at most',
  'gateway/src/http/held-requests.ts › HeldRequests': 'cuts the path of a request, 16 KiB at most',
  'gateway/src/http/access-log.ts › accessLog': 'cuts the path of a request, 16 KiB at most',
  'api/overview/overview.ts › readFilter': 'checks four short texts of a query, 16 KiB at most',
  'gateway/src/http/routes/overview/overview.ts':
    'reads by knownQuery and pageQuery, which have their rows',
  'gateway/src/http/routes/machines/machines.ts':
    'looks a word of the address up in a list of three',
  'gateway/src/sources/uploads/upload-folder.ts › UploadFolder':
    'reads what the gateway itself has written',
  'api/sources/upload.ts': 'an id of 32 characters, by an anchored expression',
  'gateway/src/http/routes/backup.ts':
    'reads one header and the query of a request, 16 KiB at most',
  'gateway/src/http/routes/create-deployment.ts › createDeployment':
    'reads by idempotencyKeyOf, readOptions and readSource, which have their rows',
  'gateway/src/http/routes/create-deployment.ts › retryDeployment':
    'reads by idempotencyKeyOf and knownQuery, which have their rows',
  'gateway/src/http/routes/cancel-deployment.ts › cancelDeployment':
    'reads by readCancelRequest, which has its row',
  'gateway/src/http/log/interim-progress.ts › InterimProgress':
    'renders by renderEvent, which has its row, and cuts each line',
  'gateway/src/http/problem.ts › sendProblem':
    'reads the address and the Accept header, 16 KiB at most, by one linear expression',
  'gateway/src/http/log/endpoint.ts':
    'reads the address and the Accept header, 16 KiB at most; its regular expressions are linear',
  'gateway/src/http/routes/releases.ts':
    'reads one name of an owner in the query, by the rule of AppName',
  'gateway/src/http/routes/rollouts/':
    'reads a body of 1 MiB at most, 1000 targets at most, each by parseOptions, which has its row',
  'gateway/src/sources/fsck/': 'reads names and lists that the gateway wrote',
  'gateway/src/sources/trees/take-pack.ts › takePack':
    'the names of a pack are those of an archive, and match 64 digits',
  'gateway/src/sources/archive/tar-header.ts': 'reads one block of 512 bytes',
  'gateway/src/sources/archive/refusals.ts › Refusals':
    'reads 1,000 names at most, by filterEntries, which has its row',
  'gateway/src/sources/archive/tar-entry.ts › longName':
    'looks for a byte in one extended header, by TarReader, which has its row',
  'gateway/src/buildkit/context/make-view.ts':
    'reads by filterEntries and unwantedFiles, which have their rows, and base names of paths',
  'gateway/src/sources/archive/advice.ts':
    'reads a field of 100 bytes, and a name that shownName has cut',
  'gateway/src/deploy/config/read-desired.ts': 'reads what the gateway itself has written',
  'gateway/src/secrets/redaction/token-shapes.ts › shapes':
    'tests single letters once; Redactor has its row',
  'gateway/src/secrets/redaction/redacted-stream.ts › RedactedStream':
    'reads by Redactor, which has its row',
  'gateway/src/deploy/machines/failures.ts › hiddenByVolume':
    'looks for the paths of the volumes in the program’s last lines, 16 KiB at most',
  'gateway/src/deploy/machines/failures.ts › assertNotCrashed':
    'reads by startError, which has its row',
  'gateway/src/deploy/machines/program-output.ts › logOfVersion':
    'linesOfVersion, which has its row, calls it',
  'gateway/src/http/routes/owners/owners.ts › addOwnerRoutes':
    'reads names and a query of 16 KiB at most, by linear expressions',
  'gateway/src/http/routes/previews/previews.ts › addPreviewRoutes':
    'reads by knownQuery, wholeNumber, readRequest and ExecRequest, which have their rows',
  'gateway/src/deploy/machines/program-output.ts › outputOf':
    'reads by linesOfVersion, which has its row',
  'gateway/src/deploy/machines/program-output.ts › ProgramOutput':
    'reads by linesOfVersion, which has its row',
  'gateway/src/deploy/machines/reachability.ts › askReach':
    'reads by judgeReach, which has its row',
  'gateway/src/deploy/machines/reachability.ts › listeningNow':
    'reads by judgeReach, which has its row',
  'gateway/src/commands/router/routes.ts › routesIn':
    'reads what the gateway itself has written, of 500 variables at most',
  'gateway/src/commands/router/routes.ts › routeNames': 'reads names of 128 characters at most',
  'api/router/router.ts › routerOf': 'checks a name by AppName, which has its row',
  'gateway/src/deploy/machines/drift.ts': 'reads what Fly answers about machines',
  'gateway/src/deploy/public-ips.ts': 'reads what Fly answers about addresses',
  'gateway/src/build/build-platform.ts': 'reads a message of 2,000 characters at most',
  'gateway/src/build/platforms.ts': 'reads the platforms, which are checked before',
  'gateway/src/secrets/vault.ts › Vault': 'checks a name by SecretName, which has its row',
  'gateway/src/build/with-disk-space.ts › withDiskSpace':
    'looks for fixed words in the output of steps',
  'gateway/src/railpack/open-planner.ts':
    'reads the version of the planner that the operator has installed',
  'gateway/src/railpack/plan-cache.ts › PlanCache': 'reads what the gateway itself has written',
  'gateway/src/railpack/prepare.ts › prepare': 'JSON.parse of 8 MiB at most, which is linear',
  'gateway/src/railpack/plan-source.ts › planSource':
    'reads two fields of a plan of 8 MiB at most, which is linear',
  'api/options/variables.ts › variables':
    'its parts are variableName and plain texts; readOptions and parseOptions have their rows',
}

export const exceptionOf = (parser: string): string | undefined =>
  Object.keys(exceptions).find((name) =>
    name.endsWith('/')
      ? parser.startsWith(name)
      : parser === name || parser.startsWith(`${name} › `),
  )
