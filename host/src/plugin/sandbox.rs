//! One classifier and the box it runs in: fresh or warm instances, each within its limits. Every way in which a guest can fail
//! leaves here as an abstention.

use super::bindings::{Classifier, ClassifierPre, Lowered, wit};
use super::check;
use super::engine::{WARM_PLACES, ticks};
use super::guest::Guest;
use crate::config::{Grants, Isolation, Limits};
use crate::model::{Abstention, Trace, Verdict, printable};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, Store};

/// The interface of the contract that holds only types; it grants nothing.
const TYPES: &str = "tracejury:classifier/types@0.1.0";
/// The one interface a classifier may import.
const HOST: &str = "tracejury:classifier/host@0.1.0";

/// What a component imports beyond the contract.
pub(super) fn unwanted_imports(component: &Component) -> Vec<String> {
    let ty = component.component_type();
    let imports = ty.imports(component.engine());
    let wanted = |name: &str, item: &ComponentItem| matches!(item, ComponentItem::ComponentInstance(_) if name == HOST || name == TYPES);
    imports.filter(|(name, import)| !wanted(name, &import.ty)).map(|(name, _)| printable(name)).collect()
}

/// What a component wants from the start that it may not have. Asked before an instance is made: the system would refuse it in
/// words that say nothing of a limit.
pub(super) fn too_large(component: &Component, limits: &Limits) -> Option<Abstention> {
    let needs = component.resources_required()?;
    let larger = |wanted: Option<u64>, most: usize| wanted.is_some_and(|wanted| wanted > most as u64);
    if larger(memory_at_start(component), limits.memory) {
        Some(Abstention::Memory(limits.memory))
    } else if larger(needs.max_initial_table_size, limits.table_elements) {
        Some(Abstention::TableElements(limits.table_elements))
    } else if needs.num_memories.max(needs.num_tables) as usize > limits.instances {
        Some(Abstention::Parts(limits.instances))
    } else {
        None
    }
}

/// The largest memory that a component's instances have from the start, in bytes, where that can be told.
pub(super) fn memory_at_start(component: &Component) -> Option<u64> {
    component.resources_required()?.max_initial_memory_size.map(|pages| pages.saturating_mul(WASM_PAGE))
}

/// A page of WebAssembly, in bytes.
const WASM_PAGE: u64 = 1 << 16;

/// A classifier ready to be called.
pub(super) struct Sandbox {
    engine: Engine,
    pre: ClassifierPre<Guest>,
    /// What is handed to `configure`; none where instances start configured, being made from a snapshot.
    configure: Option<String>,
    name: Arc<str>,
    limits: Arc<Limits>,
    grants: Grants,
    /// How many places one instance takes.
    parts: usize,
    idle: Mutex<Vec<Instance>>,
    places: Arc<Places>,
}

/// How many places are taken by warm instances, of all sandboxes, that wait for their next call.
#[derive(Debug, Default)]
pub(super) struct Places(AtomicUsize);

impl Places {
    fn take(&self, places: usize) -> bool {
        let taken = self.0.fetch_add(places, Ordering::Relaxed) + places <= WARM_PLACES;
        if !taken {
            self.give_back(places);
        }
        taken
    }

    fn give_back(&self, places: usize) {
        self.0.fetch_sub(places, Ordering::Relaxed);
    }
}

struct Instance {
    store: Store<Guest>,
    classifier: Classifier,
    calls: usize,
}

impl Sandbox {
    /// Links a component; its world is checked here, and no guest code runs yet. Without grants it is sealed.
    pub(super) fn new(component: &Component, configure: Option<String>, name: &str, limits: Limits) -> wasmtime::Result<Self> {
        let engine = component.engine().clone();
        let mut linker = Linker::new(&engine);
        Classifier::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest| guest)?;
        let pre = ClassifierPre::new(linker.instantiate_pre(component)?)?;
        let (name, limits, grants) = (name.into(), Arc::new(limits), Grants::new());
        // Where it cannot be told, as many as there may be.
        let parts =
            component.resources_required().map_or(limits.instances, |needs| needs.num_memories.max(needs.num_tables).max(1) as usize);
        Ok(Self { engine, pre, configure, name, limits, grants, parts, idle: Mutex::default(), places: Arc::default() })
    }

    /// Lets the classifier see more than errors, and share the places for warm instances.
    pub(super) fn grant(mut self, grants: Grants, places: &Arc<Places>) -> Self {
        self.grants = grants;
        self.places = Arc::clone(places);
        self
    }

    /// Asks the classifier who it is.
    pub(super) fn describe(&self) -> Result<wit::Description, Abstention> {
        let mut instance = self.instance()?;
        let described = instance.classifier.call_describe(&mut instance.store);
        sorted(&instance.store, described)
    }

    /// A configured instance to take a snapshot of, and its store.
    pub(super) fn to_capture(&self) -> Result<(Store<Guest>, wasmtime::component::Instance), Abstention> {
        let mut store = self.store();
        let raw = self.pre.instance_pre().instantiate(&mut store);
        let raw = sorted(&store, raw)?;
        let classifier = Classifier::new(&mut store, &raw);
        let classifier = sorted(&store, classifier)?;
        self.configure(&mut store, &classifier)?;
        // What is read for the snapshot is the whole memory, once, and by code of ours: the guest's time is not spent on it.
        store.set_epoch_deadline(ticks(self.limits.deadline));
        store.set_hostcall_fuel(self.limits.memory.saturating_mul(2));
        Ok((store, raw))
    }

    /// The classifier's opinions on one trace.
    pub(super) fn classify(&self, trace: &Trace) -> Result<Vec<Verdict>, Abstention> {
        let mut instance = match self.idle() {
            Some(mut warm) => {
                warm.store.set_epoch_deadline(ticks(self.limits.deadline));
                warm.store.data_mut().renew();
                warm
            }
            None => self.instance()?,
        };
        let lowered = Lowered::new(trace, &self.grants);
        let answer = instance.classifier.call_classify(&mut instance.store, lowered.as_trace());
        let answer = sorted(&instance.store, answer)?;
        let verdicts = answer.map_err(declined).and_then(|answer| check::verdicts(answer, trace, &self.limits, &self.grants));
        // Only an instance that did not fail comes back: after a trap a store is dead, and nonsense may come of a state gone bad.
        if !verdicts.as_ref().is_err_and(Abstention::is_failure) {
            self.keep(instance);
        }
        verdicts
    }

    /// How instances are shared between traces.
    pub(super) fn isolation(&self) -> Isolation {
        match (&self.configure, self.limits.isolation) {
            (Some(_), Isolation::PerTrace) => self.limits.without_snapshot,
            (_, isolation) => isolation,
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A fresh instance, configured, with the deadline for all that follows.
    fn instance(&self) -> Result<Instance, Abstention> {
        let mut store = self.store();
        let classifier = self.pre.instantiate(&mut store);
        let classifier = sorted(&store, classifier)?;
        self.configure(&mut store, &classifier)?;
        Ok(Instance { store, classifier, calls: 0 })
    }

    fn store(&self) -> Store<Guest> {
        let mut store = Store::new(&self.engine, Guest::new(&self.name, &self.limits));
        store.limiter(|guest| guest);
        store.set_epoch_deadline(ticks(self.limits.deadline));
        // What one call may make the host copy; the default of 128 MiB would let a guest with little memory make much work.
        store.set_hostcall_fuel(self.limits.answer_bytes);
        store
    }

    fn configure(&self, store: &mut Store<Guest>, classifier: &Classifier) -> Result<(), Abstention> {
        let Some(settings) = &self.configure else { return Ok(()) };
        let done = classifier.call_configure(&mut *store, settings);
        sorted(store, done)?.map_err(declined)
    }

    fn idle(&self) -> Option<Instance> {
        let instance = self.lock().pop()?;
        self.places.give_back(self.parts);
        Some(instance)
    }

    fn keep(&self, mut instance: Instance) {
        instance.calls += 1;
        if self.isolation() == Isolation::Warm && instance.calls < self.limits.max_calls && self.places.take(self.parts) {
            self.lock().push(instance);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Instance>> {
        // A panic while the lock was held cannot have left the list half-changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let idle = self.lock().len();
        self.places.give_back(idle * self.parts);
    }
}

/// The result of a call into the guest, or why there is none.
fn sorted<T>(store: &Store<Guest>, result: wasmtime::Result<T>) -> Result<T, Abstention> {
    result.map_err(|error| store.data().why(&error))
}

/// What a guest says for itself, cut to a length that can be read.
fn declined(why: String) -> Abstention {
    Abstention::Declined(printable(&why.chars().take(200).collect::<String>()))
}
