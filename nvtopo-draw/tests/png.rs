//! Pictures as pixels: their size, their colours, and their letters.

use nvtopo::Topology;
use nvtopo_draw::{Picture, PictureFormat, Theme};
use resvg::tiny_skia::Pixmap;

fn drawn(picture: Picture<'_>) -> Pixmap {
    Pixmap::decode_png(&picture.png().unwrap()).unwrap()
}

#[test]
fn pixels_are_as_many_as_asked_for() {
    let machine = Topology::preset("gh200").unwrap();
    let picture = Picture::new(&machine);
    let svg = roxmltree_size(&picture.svg());
    for scale in [1, 2] {
        let pixels = drawn(picture.with_scale(scale as f32));
        assert_eq!((pixels.width(), pixels.height()), (svg.0 * scale, svg.1 * scale));
    }
    for wrong in [0.0, -1.0, f32::NAN, f32::INFINITY, 8.5] {
        let error = picture.with_scale(wrong).png().unwrap_err().to_string();
        assert!(error.contains("is no scale"), "{error}");
    }
    let rack = Topology::preset("dgx-2").unwrap();
    let error = Picture::new(&rack).with_scale(8.0).png().unwrap_err().to_string();
    assert!(error.contains("pixels") && error.contains("smaller scale"), "{error}");
}

fn roxmltree_size(svg: &str) -> (u32, u32) {
    let document = roxmltree::Document::parse(svg).unwrap();
    let number = |name| document.root_element().attribute(name).unwrap().parse().unwrap();
    (number("width"), number("height"))
}

#[test]
fn the_page_has_the_colour_of_the_theme_and_texts_are_there() {
    let machine = Topology::preset("gh200").unwrap();
    let corner = |pixels: &Pixmap| {
        let pixel = pixels.pixels()[0];
        (pixel.red(), pixel.green(), pixel.blue())
    };
    let auto = drawn(Picture::new(&machine));
    let dark = drawn(Picture::new(&machine).with_theme(Theme::Dark));
    assert_eq!((corner(&auto), corner(&dark)), ((255, 255, 255), (0x14, 0x17, 0x1c)));
    // The title lies alone in the first lines: its letters are dark pixels, whatever fonts are installed.
    let ink = |pixels: &Pixmap| {
        let rows = pixels.pixels().chunks(pixels.width() as usize).take(40);
        rows.flatten().filter(|pixel| pixel.red() < 100).count()
    };
    assert!(ink(&auto) > 300, "{}", ink(&auto));
    assert_eq!(Picture::new(&machine).draw(PictureFormat::Png).unwrap()[..4], *b"\x89PNG");
}
