//! `[orchestration.observability]`.

use crate::text::Shape;

words! {
    /// Which dashboard is meant by the word alone.
    DashboardType {
        /// In the terminal.
        Tui = "tui",
        /// In the browser.
        Web = "web",
    }
}

element! {
    /// What can be seen of a running node.
    Observability ("observability") {
        /// Whether metrics are collected.
        enabled: bool = true, Shape::Bool;
        /// Seconds between two exports of metrics.
        metrics_export_interval_secs: u32 = 10, Shape::Int { min: 1, max: 86_400 };
        /// Whether there is a dashboard.
        dashboard_enabled: bool = true, Shape::Bool;
        /// Which dashboard is shown.
        dashboard_type: DashboardType = DashboardType::Tui, Shape::Word(DashboardType::WORDS);
        /// Port of the dashboard in the browser; 0 lets the system choose.
        dashboard_port: u16 = 8080, Shape::Int { min: 0, max: 65_535 };
        /// Whether traces of runs are kept.
        tracing_enabled: bool = true, Shape::Bool;
        /// Whether profiles are taken from the start.
        profiling_enabled: bool = false, Shape::Bool;
    }
}
