//! Metrics for classifiers: confusion matrix and average precision.
//!
//! The `figures` module computes the text models' figures from them, and a test computes the virality model's
//! average precision. The three classes are the sentiments in the order of `CLASSES`: negative, neutral,
//! positive. Figures for complaints use only two of them: 0 is no complaint, 1 is a complaint.

/// A confusion matrix of three classes: rows are true classes, columns are predicted ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct Confusion([[u32; 3]; 3]);

impl Confusion {
    /// Counts a post; classes above 2 are ignored.
    pub fn add(&mut self, truth: usize, predicted: usize) {
        if let Some(cell) = self.0.get_mut(truth).and_then(|row| row.get_mut(predicted)) {
            *cell += 1;
        }
    }

    /// Returns the number of counted posts.
    #[must_use]
    pub fn posts(&self) -> u32 {
        self.0.iter().flatten().sum()
    }

    /// Returns the macro-averaged recall, SemEval's measure, 0 to 1. A class without posts counts as 0.
    #[must_use]
    pub fn macro_recall(&self) -> f64 {
        self.mean(|truth, _, correct| correct / truth)
    }

    /// Returns the macro-averaged F1, 0 to 1. A class without posts counts as 0.
    #[must_use]
    pub fn macro_f1(&self) -> f64 {
        self.mean(|truth, predicted, correct| 2.0 * correct / (truth + predicted))
    }

    /// Returns the mean over the classes of `value`, which takes a class's true, predicted and correct posts.
    fn mean(&self, value: impl Fn(f64, f64, f64) -> f64) -> f64 {
        let table = self.0.map(|row| row.map(f64::from));
        let mut sum = 0.0;
        for (k, row) in table.iter().enumerate() {
            let truth: f64 = row.iter().sum();
            let predicted: f64 = table.iter().map(|r| r[k]).sum();
            sum += if truth > 0.0 { value(truth, predicted, row[k]) } else { 0.0 };
        }
        sum / 3.0
    }
}

/// Average precision: the mean of precision over the positives, ranked by score.
#[derive(Debug, Clone, Default)]
pub struct AveragePrecision(Vec<(f64, bool)>);

impl AveragePrecision {
    /// Adds a scored example.
    pub fn add(&mut self, score: f64, positive: bool) {
        self.0.push((score, positive));
    }

    /// Returns the average precision, 0 to 1; 0 without positives. Equal scores rank in the order in which
    /// they were added. A random ranking gives about the share of positives.
    #[must_use]
    pub fn value(mut self) -> f64 {
        self.0.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut hits, mut sum) = (0.0, 0.0);
        for (rank, (_, positive)) in self.0.iter().enumerate() {
            if *positive {
                hits += 1.0;
                sum += hits / (rank as f64 + 1.0);
            }
        }
        if hits > 0.0 { sum / hits } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_and_f1_of_a_known_table() {
        let mut c = Confusion::default();
        for (truth, predicted, n) in [(0, 0, 8), (0, 1, 2), (1, 1, 5), (1, 2, 5), (2, 2, 10)] {
            (0..n).for_each(|_| c.add(truth, predicted));
        }
        assert!((c.macro_recall() - (0.8 + 0.5 + 1.0) / 3.0).abs() < 1e-9);
        let f1 = [16.0 / 18.0, 10.0 / 17.0, 20.0 / 25.0];
        assert!((c.macro_f1() - f1.iter().sum::<f64>() / 3.0).abs() < 1e-9);
    }

    #[test]
    fn average_precision_of_a_known_ranking() {
        let mut ap = AveragePrecision::default();
        [(0.9, true), (0.8, false), (0.7, true)].iter().for_each(|(s, p)| ap.add(*s, *p));
        assert!((ap.value() - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-9);
    }
}
