//! Labelled instruments whose handles are found by index instead of by a hash of strings.

use std::fmt;
use std::sync::OnceLock;

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    Result,
};

use crate::observe::label::Label;

pub(super) type CounterTable = Table<<IntCounterVec as Vector>::Builder>;
pub(super) type GaugeTable = Table<<IntGaugeVec as Vector>::Builder>;
pub(super) type HistogramTable = Table<<HistogramVec as Vector>::Builder>;

/// Names the builder of a vector of metrics; the prometheus crate does not export it for counters.
pub(super) trait Vector {
    type Builder: MetricVecBuilder;
}

impl<B: MetricVecBuilder> Vector for MetricVec<B> {
    type Builder = B;
}

/// A value of a [`Label`] of any type, so that one list can have labels of several types.
pub(super) trait LabelValue {
    fn text(&self) -> &'static str;
    fn position(&self) -> usize;
}

impl<L: Label> LabelValue for L {
    fn text(&self) -> &'static str {
        self.as_str()
    }

    fn position(&self) -> usize {
        self.index()
    }
}

/// One handle per combination of label values, resolved when it is first used.
pub(super) struct Table<B: MetricVecBuilder> {
    vector: MetricVec<B>,
    sizes: Vec<usize>,
    cells: Box<[OnceLock<Option<B::M>>]>,
}

impl<B: MetricVecBuilder> Table<B> {
    fn new(vector: MetricVec<B>, sizes: Vec<usize>) -> Self {
        let cells = std::iter::repeat_with(OnceLock::new).take(sizes.iter().product()).collect();
        Self { vector, sizes, cells }
    }

    /// Uses the instrument for these label values, one for each label of the table.
    pub(super) fn with<const N: usize>(&self, labels: [&dyn LabelValue; N], use_it: impl FnOnce(&B::M)) {
        let index =
            labels.iter().zip(&self.sizes).fold(0, |index, (value, size)| index * size + value.position());
        let resolve = || self.vector.get_metric_with_label_values(&labels.map(LabelValue::text)).ok();
        if let Some(Some(instrument)) = self.cells.get(index).map(|cell| cell.get_or_init(resolve)) {
            use_it(instrument);
        }
    }

    /// The instrument for these label values.
    pub(super) fn handle<const N: usize>(&self, labels: [&dyn LabelValue; N]) -> Option<B::M> {
        let mut handle = None;
        self.with(labels, |instrument| handle = Some(instrument.clone()));
        handle
    }
}

impl<B: MetricVecBuilder> fmt::Debug for Table<B> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Table").field("sizes", &self.sizes).finish_non_exhaustive()
    }
}

/// Makes instruments and registers them.
pub(super) struct Registrar<'a>(&'a Registry);

/// A label's name and the number of its values.
pub(super) type Dimension = (&'static str, usize);

impl<'a> Registrar<'a> {
    pub(super) const fn new(registry: &'a Registry) -> Self {
        Self(registry)
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> Result<IntCounter> {
        self.register(IntCounter::new(name, help)?)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Result<IntGauge> {
        self.register(IntGauge::new(name, help)?)
    }

    pub(super) fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram> {
        self.register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
    }

    pub(super) fn counters(&self, name: &str, help: &str, labels: &[Dimension]) -> Result<CounterTable> {
        let (names, sizes): (Vec<_>, Vec<_>) = labels.iter().copied().unzip();
        Ok(Table::new(self.register(IntCounterVec::new(Opts::new(name, help), &names)?)?, sizes))
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[Dimension]) -> Result<GaugeTable> {
        let (names, sizes): (Vec<_>, Vec<_>) = labels.iter().copied().unzip();
        Ok(Table::new(self.register(IntGaugeVec::new(Opts::new(name, help), &names)?)?, sizes))
    }

    pub(super) fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[Dimension],
        buckets: &[f64],
    ) -> Result<HistogramTable> {
        let (names, sizes): (Vec<_>, Vec<_>) = labels.iter().copied().unzip();
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        Ok(Table::new(self.register(HistogramVec::new(opts, &names)?)?, sizes))
    }

    /// Gauges with one label whose values the configuration gives.
    pub(super) fn named_gauges(&self, name: &str, help: &str, label: &str) -> Result<IntGaugeVec> {
        self.register(IntGaugeVec::new(Opts::new(name, help), &[label])?)
    }

    /// Counters with one label whose values the configuration gives.
    pub(super) fn named_counters(&self, name: &str, help: &str, label: &str) -> Result<IntCounterVec> {
        self.register(IntCounterVec::new(Opts::new(name, help), &[label])?)
    }

    /// Gauges with labels of any value; their user bounds them.
    pub(super) fn gauges_by(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// A gauge that is always 1; the information is in its labels.
    pub(super) fn constant(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Result<()> {
        let (names, values): (Vec<_>, Vec<_>) = labels.iter().copied().unzip();
        let gauges = self.register(IntGaugeVec::new(Opts::new(name, help), &names)?)?;
        gauges.get_metric_with_label_values(&values)?.set(1);
        Ok(())
    }

    /// CPU time, memory and file descriptors of the process, where the system reports them.
    pub(super) fn process(&self) -> Result<()> {
        self.0.register(Box::new(ProcessCollector::for_self()))
    }

    fn register<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }
}
