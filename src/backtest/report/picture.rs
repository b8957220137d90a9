//! The equity curve and its drawdown as a PNG, with letters that need no font of the system.

use std::convert::Infallible;

use embedded_graphics::Drawable;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Point as Place, Size};
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::{FONT_9X18, FONT_10X20};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::text::{Alignment, Text};
use tiny_skia::{
    Color, FillRule, Paint, PathBuilder, Pixmap, PremultipliedColorU8, Rect, Stroke, Transform,
};

use crate::domain::{Timestamp, Usdc};

use super::series::{Point, below_peak, numbers, thinned};
use super::{ReportInput, rounded};

const WIDTH: u32 = 1200;
const HEIGHT: u32 = 675;
const LEFT: f32 = 110.0;
const RIGHT: f32 = 1170.0;
/// Top and bottom of the equity, and of the drawdown.
const EQUITY: (f32, f32) = (80.0, 430.0);
const DRAWDOWN: (f32, f32) = (490.0, 620.0);

const BACK: (u8, u8, u8) = (255, 255, 255);
const CARD: (u8, u8, u8) = (243, 245, 247);
const TEXT: (u8, u8, u8) = (29, 33, 38);
const DIM: (u8, u8, u8) = (92, 101, 112);
const GRID: (u8, u8, u8) = (217, 221, 226);
const UP: (u8, u8, u8) = (23, 128, 61);
const DOWN: (u8, u8, u8) = (195, 48, 47);

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// The curve has fewer than two moments.
    #[error("there is no curve to draw: the run has fewer than two moments")]
    NoCurve,
    /// The picture could not be made.
    #[error("the picture could not be made: {0}")]
    Encoding(String),
}

/// The equity curve of a run and its drawdown as a PNG of 1200 × 675 pixels.
///
/// Errors: there is no curve, or it could not be encoded.
pub fn png(input: &ReportInput) -> Result<Vec<u8>, PictureError> {
    png_of_curve(&input.title, &input.equity)
}

/// The same of a title and a curve, as a stored result has them.
///
/// Errors: as [`png`].
pub fn png_of_curve(title: &str, curve: &[(Timestamp, Usdc)]) -> Result<Vec<u8>, PictureError> {
    let (Some((start, first)), Some((end, last))) = (curve.first(), curve.last()) else {
        return Err(PictureError::NoCurve);
    };
    if end.since(*start) <= 0 {
        return Err(PictureError::NoCurve);
    }
    let mut canvas = Canvas::new()?;
    let equity = numbers(curve);
    let falls = below_peak(curve);
    let deepest = falls.iter().map(|(_, fall)| *fall).fold(0.0, f64::min);
    let colour = if last < first { DOWN } else { UP };
    canvas.write(title, (LEFT, 32.0), TEXT, Alignment::Left);
    let change = if *first > Usdc::ZERO {
        (last.to_f64() / first.to_f64() - 1.0) * 100.0
    } else {
        0.0
    };
    let words = format!(
        "equity {:.2} to {:.2} pUSD ({change:+.2} %)",
        first.to_f64(),
        last.to_f64()
    );
    canvas.write(&words, (LEFT, 60.0), DIM, Alignment::Left);
    let panel = Panel::new(&equity, EQUITY, Some(first.to_f64()));
    canvas.panel(&panel, |value| rounded(value, 2))?;
    canvas.level(&panel, first.to_f64());
    canvas.curve(&panel, &equity, colour, None);
    let words = format!("drawdown, at most {} %", rounded(-deepest * 100.0, 2));
    canvas.write(&words, (LEFT, 478.0), DIM, Alignment::Left);
    let panel = Panel::new(&falls, DRAWDOWN, Some(0.0));
    canvas.panel(&panel, |value| format!("{} %", rounded(value * 100.0, 1)))?;
    canvas.curve(&panel, &falls, DOWN, Some(0.0));
    let day = |at: Timestamp| at.to_rfc3339().get(..10).unwrap_or_default().to_owned();
    canvas.write(&day(*start), (LEFT, 648.0), DIM, Alignment::Left);
    canvas.write(&day(*end), (RIGHT, 648.0), DIM, Alignment::Right);
    canvas.finish()
}

/// Where the values of a curve lie.
struct Panel {
    start: Timestamp,
    span: f64,
    low: f64,
    high: f64,
    top: f32,
    bottom: f32,
}

impl Panel {
    fn new(curve: &[Point], (top, bottom): (f32, f32), level: Option<f64>) -> Self {
        let start = curve.first().map_or(Timestamp::from_secs(0), |(at, _)| *at);
        let end = curve.last().map_or(start, |(at, _)| *at);
        let values = || curve.iter().map(|(_, value)| *value).chain(level);
        Panel {
            start,
            span: (end.since(start) as f64).max(1.0),
            low: values().fold(f64::INFINITY, f64::min),
            high: values().fold(f64::NEG_INFINITY, f64::max),
            top,
            bottom,
        }
    }

    fn x(&self, at: Timestamp) -> f32 {
        LEFT + (at.since(self.start) as f64 / self.span) as f32 * (RIGHT - LEFT)
    }

    fn y(&self, value: f64) -> f32 {
        let range = self.high - self.low;
        let share = if range > 0.0 {
            ((value - self.low) / range) as f32
        } else {
            0.5
        };
        self.bottom - share * (self.bottom - self.top)
    }
}

struct Canvas(Pixmap);

impl Canvas {
    fn new() -> Result<Self, PictureError> {
        let encoding = || PictureError::Encoding("no memory for its pixels".to_owned());
        let mut pixels = Pixmap::new(WIDTH, HEIGHT).ok_or_else(encoding)?;
        pixels.fill(colour_of(BACK));
        Ok(Canvas(pixels))
    }

    /// The ground of a panel with its highest, middle and lowest value.
    fn panel(&mut self, panel: &Panel, words: impl Fn(f64) -> String) -> Result<(), PictureError> {
        let ground = Rect::from_ltrb(LEFT, panel.top, RIGHT, panel.bottom)
            .ok_or_else(|| PictureError::Encoding("a panel without extent".to_owned()))?;
        let paint = paint_of(CARD, 255);
        self.0
            .fill_rect(ground, &paint, Transform::identity(), None);
        let middle = f64::midpoint(panel.low, panel.high);
        for value in [panel.low, middle, panel.high] {
            let y = panel.y(value);
            self.line((LEFT, y), (RIGHT, y), GRID, 1.0);
            self.write(&words(value), (LEFT - 8.0, y + 5.0), DIM, Alignment::Right);
            if panel.low >= panel.high {
                break;
            }
        }
        Ok(())
    }

    fn level(&mut self, panel: &Panel, value: f64) {
        let y = panel.y(value);
        let mut x = LEFT;
        while x < RIGHT {
            self.line((x, y), ((x + 6.0).min(RIGHT), y), DIM, 1.0);
            x += 12.0;
        }
    }

    /// A line through all points, filled towards a level where there is one.
    fn curve(&mut self, panel: &Panel, curve: &[Point], colour: (u8, u8, u8), to: Option<f64>) {
        let points: Vec<(f32, f32)> = thinned(curve)
            .iter()
            .map(|(at, value)| (panel.x(*at), panel.y(*value)))
            .collect();
        if let Some(level) = to {
            let y = panel.y(level);
            let mut path = PathBuilder::new();
            path.move_to(LEFT, y);
            for (x, y) in &points {
                path.line_to(*x, *y);
            }
            path.line_to(RIGHT, y);
            path.close();
            // A level line encloses nothing.
            let area = path.finish().filter(|path| path.bounds().height() > 0.0);
            if let Some(path) = area {
                let paint = paint_of(colour, 60);
                let rule = FillRule::Winding;
                self.0
                    .fill_path(&path, &paint, rule, Transform::identity(), None);
            }
        }
        let mut path = PathBuilder::new();
        for (place, (x, y)) in points.iter().enumerate() {
            if place == 0 {
                path.move_to(*x, *y);
            } else {
                path.line_to(*x, *y);
            }
        }
        self.stroke(path, colour, 2.0);
    }

    fn line(&mut self, from: (f32, f32), to: (f32, f32), colour: (u8, u8, u8), width: f32) {
        let mut path = PathBuilder::new();
        path.move_to(from.0, from.1);
        path.line_to(to.0, to.1);
        self.stroke(path, colour, width);
    }

    fn stroke(&mut self, path: PathBuilder, colour: (u8, u8, u8), width: f32) {
        let stroke = Stroke {
            width,
            ..Stroke::default()
        };
        // A path of one point has nothing to draw.
        if let Some(path) = path.finish() {
            let paint = paint_of(colour, 255);
            self.0
                .stroke_path(&path, &paint, &stroke, Transform::identity(), None);
        }
    }

    /// Text with its base line at `place`; letters beyond Latin 1 show as `?`.
    fn write(&mut self, text: &str, place: (f32, f32), colour: (u8, u8, u8), side: Alignment) {
        let font = if colour == TEXT {
            &FONT_10X20
        } else {
            &FONT_9X18
        };
        let style = MonoTextStyle::new(font, Rgb888::new(colour.0, colour.1, colour.2));
        let place = Place::new(place.0 as i32, place.1 as i32);
        let result = Text::with_alignment(text, place, style, side).draw(self);
        match result {
            Ok(_) => {}
            Err(never) => match never {},
        }
    }

    fn finish(self) -> Result<Vec<u8>, PictureError> {
        let encoded = self.0.encode_png();
        encoded.map_err(|error| PictureError::Encoding(error.to_string()))
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(WIDTH, HEIGHT)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Infallible>
    where
        I: IntoIterator<Item = embedded_graphics::Pixel<Rgb888>>,
    {
        for embedded_graphics::Pixel(place, colour) in pixels {
            let (Ok(x), Ok(y)) = (u32::try_from(place.x), u32::try_from(place.y)) else {
                continue;
            };
            if x >= WIDTH || y >= HEIGHT {
                continue;
            }
            let index = (y * WIDTH + x) as usize;
            let opaque = PremultipliedColorU8::from_rgba(colour.r(), colour.g(), colour.b(), 255);
            if let (Some(pixel), Some(opaque)) = (self.0.pixels_mut().get_mut(index), opaque) {
                *pixel = opaque;
            }
        }
        Ok(())
    }
}

fn colour_of((red, green, blue): (u8, u8, u8)) -> Color {
    Color::from_rgba8(red, green, blue, 255)
}

fn paint_of((red, green, blue): (u8, u8, u8), opacity: u8) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(red, green, blue, opacity);
    paint.anti_alias = true;
    paint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_shows_the_curve_where_it_lies() {
        let at = Timestamp::from_secs;
        let usd = Usdc::whole;
        let curve = [(at(0), usd(100)), (at(50), usd(200)), (at(100), usd(150))];
        let bytes = png_of_curve("Backtest of <prices>", &curve).unwrap();
        assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n");
        assert!(bytes.len() < 200_000, "{}", bytes.len());
        let picture = Pixmap::decode_png(&bytes).unwrap();
        assert_eq!((picture.width(), picture.height()), (WIDTH, HEIGHT));
        let colour = |x: u32, y: u32| {
            let pixel = picture.pixel(x, y).unwrap();
            (pixel.red(), pixel.green(), pixel.blue())
        };
        // The end: 150 of 100 to 200 lies in the middle, (80 + 430) / 2, and the line is green; above
        // and below it is the ground.
        assert_eq!(colour(1168, 300), CARD);
        let line = (245..265).map(|y| colour(1168, y));
        assert!(
            line.into_iter()
                .any(|(red, green, _)| green > red.saturating_add(40))
        );
        // The drawdown of a quarter fills its panel at the end.
        assert_ne!(colour(1165, 550), CARD);
        assert_eq!(colour(200, 550), CARD);
        // Letters are written.
        assert!((110..400).any(|x| (16..34).any(|y| colour(x, y) == TEXT)));
    }

    #[test]
    fn without_a_curve_there_is_no_picture() {
        let at = Timestamp::from_secs(0);
        assert_eq!(png_of_curve("x", &[]), Err(PictureError::NoCurve));
        let one = [(at, Usdc::whole(1)), (at, Usdc::whole(1))];
        assert_eq!(png_of_curve("x", &one), Err(PictureError::NoCurve));
        // A level curve has no range.
        let later = Timestamp::from_secs(60);
        assert!(png_of_curve("x", &[(at, Usdc::whole(1)), (later, Usdc::whole(1))]).is_ok());
    }
}
